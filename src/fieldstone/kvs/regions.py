"""The regions of this process, by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from fieldstone import conf
from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.region import Region


class Regions(Mapping[str, Region]):
    """Names to regions, the same object for all threads. One that nobody knew comes to be when it is asked for.

    It iterates over those that the settings name and those that have been asked for.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[str, Region] = {}

    def __getitem__(self, name: str) -> Region:
        region = self._known.get(name)
        if region is None:
            if not _is_name(name):
                raise RegionConfigurationError(name, "a region's name is letters, digits and _.- of ASCII")
            with self._guard:
                region = self._known.setdefault(name, Region(name))
        return region

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._known, *conf.regions()}))

    def __len__(self) -> int:
        return len({*self._known, *conf.regions()})

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in conf.regions()

    def forget(self, name: str) -> None:
        """Close a region, and let its name be configured anew: for tests. Who holds the old object keeps it."""
        with self._guard:
            region = self._known.pop(name, None)
        if region is not None:
            region.close()


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != "" and set(name) <= _ALLOWED


_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")

regions = Regions()


def get_key_value_store(name: str) -> Region:
    """The one region of that name in this process: ``regions[name]``."""
    return regions[name]
