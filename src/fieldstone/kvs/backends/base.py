"""What a backend is: bytes by name, with locks. ``Region`` does all the rest."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a region can do. What it cannot do raises ``UnsupportedError`` and touches nothing."""

    shared: bool  # other processes see what is set
    durable: bool  # entries are there after the server's restart, unless it was told not to keep them
    evicts: bool  # under pressure entries go before their time
    atomic_bulk: bool  # several entries are set all or none, also when the server dies meanwhile
    add: bool = True  # add()
    incr: bool = True  # incr()
    compare_and_set: bool = True  # get_with_version() and compare_and_set()
    touch: bool = True  # touch()
    iterate: bool = True  # keys(), clear()
    fair_locks: bool = True  # who came first gets the lock first
    honest_locks: bool = True  # while the server lives no two hold a lock at once; otherwise: best effort
    fencing: bool = True  # every acquisition has a greater fencing token than those before it
    max_key_bytes: int | None = None
    max_value_bytes: int | None = None  # of an entry, encoded


class Backend(ABC):
    """Entries by name in one kind of server, and locks by name. Safe between threads, usable after a fork.

    An entry is bytes (``fieldstone.kvs.entries``), which a backend stores and gives back as they are; only
    ``incr`` and ``compare_and_set`` look into them, at fixed places. A name is text that ``check_key`` has
    accepted. ``ttl`` is seconds above 0, or ``None``: until deleted. Expired entries are as if they were not
    there.

    Options are keyword arguments of ``__init__``; what it raises as ``ValueError`` or ``ImportError`` is told as
    the region's configuration error. It does not connect.

    Methods raise the driver's errors; those of ``unavailable`` are told as ``ServiceUnavailable``. Nothing secret
    is in an option's ``repr``, in a log, or in ``address``.
    """

    kind: str
    """Its name in messages: "Redis", "memcached"."""

    abilities: Abilities
    unavailable: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def __init__(self, region: str, **options: Any) -> None: ...

    @property
    def address(self) -> str:
        """Which server it is, without credentials; for tables and messages."""
        return "this process"

    key_mangler: Any = None
    """A callable of its own from key to name, or ``None``: keys are kept as they are, after the prefix."""

    def check_key(self, name: str) -> str | None:
        """Why the server cannot keep an entry under this name, or ``None``."""
        limit = self.abilities.max_key_bytes
        if limit is not None and len(name) * 4 > limit and (size := len(name.encode())) > limit:
            return f"it takes {size} bytes, and {self.kind} takes {limit}"
        return None

    def learn_names(self, name: Callable[[str], str]) -> None:  # noqa: B027  # most have no use for it
        """Told once, when the region is configured: the function from its keys to their whole names."""

    # Entries

    @abstractmethod
    def get(self, name: str) -> bytes | None: ...

    @abstractmethod
    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """In the order of the names, one round trip (a server, where there are several)."""

    @abstractmethod
    def set(self, name: str, entry: bytes, ttl: float | None) -> None: ...

    @abstractmethod
    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None: ...

    @abstractmethod
    def delete(self, name: str) -> bool:
        """Whether it was there."""

    @abstractmethod
    def delete_many(self, names: Sequence[str]) -> int:
        """How many were there."""

    def add(self, name: str, entry: bytes, ttl: float | None) -> bool:
        """Set it unless there is one; whether it was set. Atomic."""
        raise NotImplementedError

    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> int:
        """Add to an integer entry, or to ``initial`` where there is none; the sum. Atomic.

        An entry that is there keeps its time to live. Raises ``ValueError`` for what is no integer entry, and for
        sums beyond 64 bits, signed; nothing is changed then.
        """
        raise NotImplementedError

    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> bool:
        """Set it if the entry that is there is of this version; whether it was set. Atomic."""
        raise NotImplementedError

    def touch(self, name: str, ttl: float | None) -> bool:
        """Give an entry another time to live from now on; whether it was there."""
        raise NotImplementedError

    def scan(self, prefix: str, cursor: Any, count: int) -> tuple[list[str], Any]:
        """Names that begin so, about ``count`` of them, and where to go on. ``None`` begins, and is the end.

        Names that are there throughout come at least once.
        """
        raise NotImplementedError

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        """Hold the lock for ``timeout`` seconds as the owner ``token``; its fencing token.

        ``None`` if another held it all the ``wait`` seconds, 0 for one try. A token that holds the lock does not
        get it again. Fencing tokens are positive and below 2**63.
        """
        raise NotImplementedError

    def release(self, name: str, token: str) -> bool:
        """Let it go if this owner still holds it; whether it did."""
        raise NotImplementedError

    def renew(self, name: str, token: str, timeout: float) -> bool:
        """Hold it for ``timeout`` seconds from now on, if this owner still holds it; whether it did."""
        raise NotImplementedError

    def locked(self, name: str) -> bool:
        """Whether anybody holds it now."""
        raise NotImplementedError

    def is_over(self, name: str, token: str) -> bool:
        """Whether what this owner was given is known to have ended, without asking the server."""
        return False

    # Asynchronous use, and the end

    def leave_thread(self) -> None:  # noqa: B027  # most keep nothing by thread
        """Called at the end of a thread of ours: close what is kept for it."""

    async def acall(self, method: str, *args: Any) -> Any:
        """Call a method of this backend for a coroutine, without blocking its loop.

        In a thread, unless the backend has something better.
        """
        if method == "acquire":
            return await self._acquired(*args)
        return await asyncio.to_thread(getattr(self, method), *args)

    async def _acquired(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        # In a thread of its own: were all those of the loop to wait here, the holder could not let go.
        fence: Future[int | None] = Future()
        is_left = threading.Event()

        def acquire() -> None:
            try:
                granted = self.acquire(name, token, timeout, wait)
            except BaseException as error:
                fence.set_exception(error)
                return
            fence.set_result(granted)
            if granted is not None and is_left.is_set():
                self.release(name, token)

        threading.Thread(target=acquire, daemon=True, name="waiting for a lock").start()
        try:
            return await asyncio.shield(asyncio.wrap_future(fence))
        except asyncio.CancelledError:  # which a thread cannot be: what it gets now is let go
            is_left.set()
            self.withdraw(name, token)
            if fence.done() and fence.exception() is None and fence.result() is not None:
                self.release(name, token)
            raise

    def withdraw(self, name: str, token: str) -> None:  # noqa: B027  # the others find out when their wait is over
        """Whoever waits with this token waits no more."""

    def server_statistics(self) -> Mapping[str, str]:
        """What the server says of itself, for a table: short names to short texts. One round trip."""
        return {}

    def close(self) -> None:  # noqa: B027  # there may be nothing to close
        """Close what is open. The backend can be used again, and connects anew then."""

    async def aclose(self) -> None:
        """``close`` for a coroutine, with what its loop has open."""
        self.close()
