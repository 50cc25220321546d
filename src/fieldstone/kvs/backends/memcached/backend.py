"""``MemcachedBackend``: entries on one memcached server or several."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pymemcache.client.base import normalize_server_spec
from pymemcache.client.rendezvous import RendezvousHash
from pymemcache.exceptions import MemcacheError

from fieldstone.kvs.backends.base import Abilities
from fieldstone.kvs.backends.memcached.changing import Write, changed
from fieldstone.kvs.backends.memcached.drivers import DRIVERS, Address, Driver, Timing
from fieldstone.kvs.backends.memcached.expiry import NEVER, dated, entry_in, redated
from fieldstone.kvs.backends.memcached.locks import RESERVED, MemcachedLocks
from fieldstone.kvs.entries import incremented, version_of
from fieldstone.kvs.options import is_duration, is_integer

_ALWAYS_FITS = 700
"""An item of memcached's may always take 1,024 bytes: this, the longest key, and what the server adds."""

_OVERHEAD = 64
"""What the server adds to an item, at most: its header, the key's end, its flags."""


class MemcachedBackend(MemcachedLocks):
    """Entries go when the server is restarted or needs the room; several servers share them out by name.

    ``url`` is ``host:port``, a list of such or one text with commas. With several servers a name is always on the
    same one, as pymemcache's own ``HashClient`` places it: when a server is down its names raise, and do not move
    to another, where older entries and second holders of locks would be.

    ``memcached_backend`` names the driver, one of ``DRIVERS``. ``memcached_expire_time`` is the time to live, in
    seconds, of what is set without one, but not of the keys ``no_expiry_keys``. ``timeout`` and
    ``connect_timeout`` are in seconds; ``max_pool_size`` connections a server are made at most by a process, and
    waited for as long as ``timeout``.

    ``incr``, ``compare_and_set`` and ``touch`` read an entry and write it unless it was changed meanwhile. Times
    are those of this machine's clock: machines that share a server should agree on theirs.

    Coroutines use threads: there is no client of asyncio that could do all of this.
    """

    kind = "memcached"
    unavailable = (OSError, MemcacheError)
    abilities = Abilities(
        shared=True,
        durable=False,
        evicts=True,
        atomic_bulk=False,
        iterate=False,
        fair_locks=False,
        honest_locks=False,
        max_key_bytes=250,
    )

    def __init__(
        self,
        region: str,
        *,
        url: str | Sequence[str] = "127.0.0.1:11211",
        memcached_backend: str = "pymemcache",
        memcached_expire_time: float | None = None,
        no_expiry_keys: Iterable[str] = (),
        timeout: float = 3.0,
        connect_timeout: float = 3.0,
        max_pool_size: int = 64,
    ) -> None:
        if memcached_backend not in DRIVERS:
            known = ", ".join(DRIVERS)
            raise ValueError(f"there is no memcached_backend {memcached_backend!r}. Known: {known}")
        for name, seconds in (
            ("timeout", timeout),
            ("connect_timeout", connect_timeout),
            ("memcached_expire_time", 1 if memcached_expire_time is None else memcached_expire_time),
        ):
            if not is_duration(seconds):
                raise ValueError(f"{name} is {seconds!r}, and should be a number of seconds above 0")
        if not is_integer(max_pool_size, at_least=1):
            raise ValueError(f"max_pool_size is {max_pool_size!r}, and should be a number, 1 or more")
        if isinstance(no_expiry_keys, str):
            raise ValueError("no_expiry_keys is one text, and should be a list of keys")
        self._expire_time = memcached_expire_time
        self.no_expiry_keys = list(no_expiry_keys)
        self.key_mangler = None
        timing, make = Timing(timeout, connect_timeout, max_pool_size), DRIVERS[memcached_backend]
        self._drivers = {_shown(address): make(address, timing) for address in _addresses(url)}
        self._hasher = RendezvousHash(list(self._drivers))
        self._only = next(iter(self._drivers.values())) if len(self._drivers) == 1 else None
        self._limits: dict[str, int] = {}

    @property
    def address(self) -> str:
        return ", ".join(self._drivers)

    def check_key(self, name: str) -> str | None:
        if _FITTING.fullmatch(name):
            return None
        if len(name) > 250:
            return f"memcached takes 250 bytes, and it has {len(name.encode(errors='replace'))}"
        if name.startswith(RESERVED):
            return f"memcached's locks are kept under names that begin with {' or '.join(RESERVED)}"
        return "memcached takes printable ASCII without spaces, one character or more"

    # Which keys do not expire

    @property
    def key_mangler(self) -> Any:
        """What makes a name of a key, all of it; setting it finds anew which names ``no_expiry_keys`` have."""
        return self._key_mangler

    @key_mangler.setter
    def key_mangler(self, mangler: Callable[[str], str] | None) -> None:
        self._key_mangler = mangler
        keys = self.no_expiry_keys
        self.no_expiry_hashed_keys = frozenset(map(mangler, keys) if mangler else keys)

    def learn_names(self, name: Callable[[str], str]) -> None:
        self.key_mangler = name

    # Entries

    def get(self, name: str) -> bytes | None:
        return entry_in((self._only or self._driver(name)).get(name))

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        stored: dict[str, bytes] = {}
        for driver, own in self._shared_out(names):
            stored |= driver.get_many(own)
        return [entry_in(stored.get(name)) for name in names]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        value, expire = self._write(name, entry, ttl)
        (self._only or self._driver(name)).set(name, value, expire)

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        values: dict[int, dict[str, bytes]] = defaultdict(dict)
        for name, entry in entries.items():
            value, expire = self._write(name, entry, ttl)
            values[expire][name] = value
        for expire, alike in values.items():
            for driver, names in self._shared_out(alike):
                driver.set_many({name: alike[name] for name in names}, expire)

    def delete(self, name: str) -> bool:
        # Read first: whether it was there, of one that has ended and that the server still has, would be wrong.
        return self.get(name) is not None and self._driver(name).delete(name)

    def delete_many(self, names: Sequence[str]) -> int:
        there = [name for name, entry in zip(names, self.get_many(names), strict=True) if entry is not None]
        return sum(driver.delete_many(own) for driver, own in self._shared_out(dict.fromkeys(there)))

    def add(self, name: str, entry: bytes, ttl: float | None) -> bool:
        driver, write = self._driver(name), self._write(name, entry, ttl)
        if driver.add(name, *write):
            return True

        def replace_ended(stored: bytes | None) -> tuple[Write | None, bool]:
            is_free = entry_in(stored) is None
            return (write if is_free else None), is_free

        return changed(driver, name, replace_ended)

    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> int:
        def count(stored: bytes | None) -> tuple[Write, int]:
            there = entry_in(stored)
            entry, total = incremented(there, by, initial)
            if stored is None or there is None:
                return self._write(name, entry, ttl), total
            return Write(*redated(stored, entry)), total

        return changed(self._driver(name), name, count)

    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> bool:
        value, expire = self._write(name, entry, ttl)
        stored, unique = self._driver(name).gets(name)
        there = entry_in(stored)
        if there is None or unique is None or version_of(there) != version:
            return False
        return self._driver(name).cas(name, value, unique, expire)  # if not, it is of another version by now

    def touch(self, name: str, ttl: float | None) -> bool:
        def redate(stored: bytes | None) -> tuple[Write | None, bool]:
            entry = entry_in(stored)
            return (None, False) if entry is None else (self._write(name, entry, ttl), True)

        return changed(self._driver(name), name, redate)

    def _write(self, name: str, entry: bytes, ttl: float | None) -> Write:
        """What is stored, and the server's own expiry. Raises ``ValueError`` for what takes too much."""
        if len(entry) > _ALWAYS_FITS:
            self._check_size(name, len(entry))
        if ttl is None and self._expire_time is not None and name not in self.no_expiry_hashed_keys:
            ttl = self._expire_time
        if ttl is None:
            return Write(NEVER + entry, 0)
        return Write(*dated(entry, ttl))

    def _check_size(self, name: str, size: int) -> None:
        # Before it is sent: of a value that is too large the server also deletes the one that was there.
        server = next(iter(self._drivers)) if self._only else self._hasher.get_node(name)
        if server not in self._limits:
            self._limits[server] = int(self._drivers[server].stats("settings")["item_size_max"])
        allowed = self._limits[server] - _OVERHEAD - len(name) - len(NEVER)
        if size > allowed:
            raise ValueError(f"it takes {size:,} bytes, and the server takes {allowed:,} (its -I option)")

    # Servers

    def _driver(self, name: str) -> Driver:
        return self._only or self._drivers[self._hasher.get_node(name)]

    def _shared_out(self, names: Iterable[str]) -> Iterable[tuple[Driver, list[str]]]:
        """The servers, with which of the names each has."""
        if self._only:
            return [(self._only, list(names))]
        shared: dict[str, list[str]] = defaultdict(list)
        for name in names:
            shared[self._hasher.get_node(name)].append(name)
        return [(self._drivers[server], own) for server, own in shared.items()]

    def server_statistics(self) -> Mapping[str, str]:
        shown: dict[str, str] = {}
        for server, driver in self._drivers.items():
            of_server = "" if self._only else f"{server} "
            found = driver.stats()
            shown |= {f"{of_server}{name}": f"{int(found[key]):,}" for key, name in _STATISTICS.items()}
            shown[f"{of_server}version"] = found["version"]
        return shown

    def close(self) -> None:
        for driver in self._drivers.values():
            driver.close()


_FITTING = re.compile(rf"(?!{'|'.join(RESERVED)})[!-~]{{1,250}}")

_STATISTICS = {
    "curr_items": "entries",
    "bytes": "bytes",
    "limit_maxbytes": "bytes allowed",
    "evictions": "evictions",
    "get_hits": "hits",
    "get_misses": "misses",
    "curr_connections": "connections",
    "uptime": "seconds up",
}


def _addresses(url: str | Sequence[str]) -> list[Address]:
    """Raises ``ValueError`` for what is no address of a server."""
    parts = url.split(",") if isinstance(url, str) else url
    try:
        addresses = [normalize_server_spec(part.strip()) for part in parts]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"url is {url!r}, and should be host:port, or a list of such") from error
    if not addresses or any(not _is_complete(address) for address in addresses):
        raise ValueError(f"url is {url!r}, and should be host:port, or a list of such")
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"url names a server twice: {url!r}")
    return addresses


def _is_complete(address: Address) -> bool:
    if isinstance(address, str):
        return bool(address)
    host, port = address
    return bool(host) and not set(host) & set("/@ ") and 0 < port < 65536


def _shown(address: Address) -> str:
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"
