"""The memcached driver that Keystone's backend takes unless another is named: ours, which pickles nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fieldstone.kvs.bridge.faces import MemcachedFace


class Driver(MemcachedFace):
    """``url`` is a server or a list of them; ``memcached_expire_time`` is in seconds, for what is set.

    It has what Keystone's backend looks for in dogpile's drivers: ``set_arguments``, and a ``client``.
    """

    own_mangler = None  # Keystone's stores have theirs

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        given = dict(arguments)
        expire_time = given.pop("memcached_expire_time", None)
        self.set_arguments: dict[str, float] = {} if expire_time is None else {"time": expire_time}
        super().__init__({**given, "ttl": expire_time or None})
        self.client = Client(self)


class Client:
    """Setting past the driver's own time to live, as Keystone's backend does for keys that never expire."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def set_multi(self, mapping: Mapping[str, bytes], time: float = 0) -> None:
        """``time`` in seconds; 0 is until it is deleted. Raises what ``BackendFace`` does."""
        self._driver.set_lasting(mapping, time or None)
