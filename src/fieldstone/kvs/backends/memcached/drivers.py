"""What speaks with one memcached server: pymemcache, from a pool of connections."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheServerError, MemcacheUnexpectedCloseError, MemcacheUnknownError

T = TypeVar("T")

Address = tuple[str, int] | str
"""Host and port, or the path of a socket."""

AT_ONCE = 1000
"""Keys a request: of more the server's answers would fill its buffers while it is still being sent to."""

_IDLE_SECONDS = 1.0
_TOO_LARGE = "object too large"


class Timing(NamedTuple):
    """How long a server is waited for, in seconds, and by how many at once."""

    timeout: float
    connect_timeout: float
    max_pool_size: int


class Driver(Protocol):
    """One server. Safe between threads, usable after a fork; connects when it is used.

    Every write is acknowledged by the server, or raises. ``expire`` is as memcached takes it: 0 for never, seconds
    up to 30 days, beyond a date, below 0 at once. Errors are ``OSError`` or pymemcache's; ``ValueError`` for a
    value that the server takes for too large.
    """

    def get(self, key: str) -> bytes | None: ...
    def gets(self, key: str) -> tuple[bytes | None, bytes | None]:
        """The value and what ``cas`` wants to know it by."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]: ...
    def set(self, key: str, value: bytes, expire: int) -> None: ...
    def set_many(self, values: Mapping[str, bytes], expire: int) -> None: ...
    def add(self, key: str, value: bytes, expire: int) -> bool: ...
    def cas(self, key: str, value: bytes, unique: bytes, expire: int) -> bool: ...
    def delete(self, key: str) -> bool: ...
    def delete_many(self, keys: Sequence[str]) -> int:
        """How many were there."""

    def stats(self, *of: str) -> Mapping[str, str]: ...
    def close(self) -> None: ...


class _Connection(Client):  # type: ignore[misc]  # pymemcache publishes no types
    """``fetch`` and ``store`` are ``get`` and ``set`` of one key that was checked, without what many keys and
    serializers take.
    """

    idle_since = 0.0

    def fetch(self, key: str) -> bytes | None:
        sock = self._connected()
        sock.sendall(b"get %b\r\n" % key.encode("ascii"))
        answer = _received(sock)
        if answer == b"END\r\n":
            return None
        while (head := answer.find(b"\r\n")) < 0:
            answer += _received(sock)
        if not answer.startswith(b"VALUE "):
            self._raise_errors(answer[:head], b"get")
            raise MemcacheUnknownError(answer[:32])
        begin = head + 2
        end = begin + int(answer[:head].rpartition(b" ")[2])
        missing = end + len(b"\r\nEND\r\n") - len(answer)
        if missing > 0:
            parts = [answer]
            while missing > 0:
                parts.append(_received(sock))
                missing -= len(parts[-1])
            answer = b"".join(parts)
        return answer[begin:end]

    def store(self, key: str, value: bytes, expire: int) -> None:
        sock = self._connected()
        sock.sendall(b"set %b 0 %d %d\r\n%b\r\n" % (key.encode("ascii"), expire, len(value), value))
        answer = _received(sock)
        while not answer.endswith(b"\r\n"):
            answer += _received(sock)
        if answer != b"STORED\r\n":
            self._raise_errors(answer.rstrip(), b"set")
            raise MemcacheUnknownError(answer[:32])

    def _connected(self) -> socket.socket:
        if self.sock is None:
            self._connect()
        sock: socket.socket = self.sock
        return sock

    def delete_counted(self, keys: Sequence[str]) -> int:
        """``delete_many``, which does not tell what the server answered."""
        commands = [b"delete %b\r\n" % self.check_key(key, self.key_prefix) for key in keys]
        return int(self._misc_cmd(commands, b"delete", False).count(b"DELETED"))

    def is_closed_there(self) -> bool:
        """Whether the server has hung up: nothing else can have come that nobody has asked for."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class Pymemcache:
    """A pool of pymemcache's clients, the one used last taken first.

    Not its own ``PooledClient``: that raises when all connections are in use, forgets one that an interruption
    such as ``KeyboardInterrupt`` came through, and shares its sockets with forked processes.
    """

    def __init__(self, address: Address, timing: Timing) -> None:
        self.address = address
        self._timing = timing
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        """Without connections; those of before a fork are the parent's, whose threads may be using them."""
        self._free: list[_Connection] = []
        self._made = 0
        self._waiting = 0
        self._returned = threading.Condition()

    def get(self, key: str) -> bytes | None:
        client = self._take()
        try:
            value = client.fetch(key)
        except BaseException:
            self._failed(client)
            raise
        self._give(client)
        return value

    def gets(self, key: str) -> tuple[bytes | None, bytes | None]:
        found: tuple[bytes | None, bytes | None] = self._do(lambda client: client.gets(key))
        return found

    def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        def get(client: _Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for start in range(0, len(keys), AT_ONCE):
                found |= client.get_many(keys[start : start + AT_ONCE])
            return found

        return self._do(get)

    def set(self, key: str, value: bytes, expire: int) -> None:
        client = self._take()
        try:
            client.store(key, value, expire)
        except BaseException as error:
            self._failed(client)
            _raise_too_large(error)
            raise
        self._give(client)

    def set_many(self, values: Mapping[str, bytes], expire: int) -> None:
        entries = list(values.items())

        def set_(client: _Connection) -> None:
            for start in range(0, len(entries), AT_ONCE):
                if failed := client.set_many(dict(entries[start : start + AT_ONCE]), expire, False):
                    raise MemcacheServerError(f"{len(failed)} values were not stored")

        self._do(set_)

    def add(self, key: str, value: bytes, expire: int) -> bool:
        return bool(self._do(lambda client: client.add(key, value, expire, False)))

    def cas(self, key: str, value: bytes, unique: bytes, expire: int) -> bool:
        return bool(self._do(lambda client: client.cas(key, value, unique, expire, False)))

    def delete(self, key: str) -> bool:
        return bool(self._do(lambda client: client.delete(key, False)))

    def delete_many(self, keys: Sequence[str]) -> int:
        def delete(client: _Connection) -> int:
            batches = (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
            return sum(map(client.delete_counted, batches))

        return self._do(delete)

    def stats(self, *of: str) -> Mapping[str, str]:
        found = self._do(lambda client: client.stats(*of))
        return {_text(name): _text(value) for name, value in found.items()}

    def close(self) -> None:
        while self._free:
            self._free.pop().close()
            self._made -= 1

    # The pool. Appending to a list and popping from it are atomic, so the usual way takes no lock.

    def _do(self, work: Callable[[_Connection], T]) -> T:
        client = self._take()
        try:
            result = work(client)
        except BaseException as error:
            self._failed(client)
            _raise_too_large(error)
            raise
        self._give(client)
        return result

    def _take(self) -> _Connection:
        try:
            client = self._free.pop()
        except IndexError:
            return self._another()
        if time.monotonic() - client.idle_since > _IDLE_SECONDS and client.is_closed_there():
            client.close()  # it connects anew: a server that was restarted costs no error
        return client

    def _give(self, client: _Connection) -> None:
        client.idle_since = time.monotonic()
        self._free.append(client)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def _failed(self, client: _Connection) -> None:
        """Give back one whose conversation was broken off, maybe in the middle of an answer."""
        client.close()
        self._give(client)

    def _another(self) -> _Connection:
        timing = self._timing
        until = time.monotonic() + timing.timeout
        with self._returned:
            if self._made < timing.max_pool_size:
                self._made += 1
                return _Connection(
                    self.address, connect_timeout=timing.connect_timeout, timeout=timing.timeout, no_delay=True
                )
            self._waiting += 1
            try:
                while True:
                    with contextlib.suppress(IndexError):  # another thread may take it first
                        return self._free.pop()
                    if not self._returned.wait(until - time.monotonic()):
                        raise TimeoutError(
                            f"all {timing.max_pool_size} connections were in use for {timing.timeout:g} s:"
                            " raise max_pool_size"
                        )
            finally:
                self._waiting -= 1


DRIVERS: dict[str, Callable[[Address, Timing], Driver]] = {"pymemcache": Pymemcache}
"""Names for the option ``memcached_backend``; others can be added."""

_living: weakref.WeakSet[Pymemcache] = weakref.WeakSet()


def _begin_all() -> None:
    for driver in list(_living):
        for client in driver._free:
            client.close()  # this process's end of it alone
        driver._begin()


os.register_at_fork(after_in_child=_begin_all)


def _raise_too_large(error: BaseException) -> None:
    if isinstance(error, MemcacheServerError) and _TOO_LARGE in str(error):
        raise ValueError("the server takes it for too large (its -I option)") from error


def _received(sock: socket.socket) -> bytes:
    part = sock.recv(65536)
    if not part:
        raise MemcacheUnexpectedCloseError
    return part


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
