"""Keys that are invalidated together, in one write, for all processes.

A namespace has a generation, which is the version of an entry of its own. Each value carries the generation that
it was written in, and is a miss in any other. Reading takes both in one round trip; writing reads the generation
first. What was created out of older data than an invalidation is of the older generation, and so a miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fieldstone.errors import ServiceUnavailable
from fieldstone.kvs.creation import CreatingOperations
from fieldstone.kvs.entries import NO_GENERATION, Entry, integer_entry, version_of
from fieldstone.kvs.operations import Operations, some
from fieldstone.kvs.runner import Runner, Steps
from fieldstone.values import MISSING


class NamespaceOperations(CreatingOperations):
    """The operations on keys of one namespace of a region."""

    def __init__(self, region: Operations, runner: Runner, namespace: str) -> None:
        super().__init__(runner, region.codec, region.options, region.key_mangler)
        self._generation_name = self._named(f"{self._space}@", quote(namespace, safe=""))
        # Quoted, so that no key can be taken for one of another namespace.
        self._begin_names_with(f"{self._space}#{quote(namespace, safe='')}#")
        self._creation_prefix = f"{self._space}+{quote(namespace, safe='')}#"

    def invalidate(self) -> Steps[None]:
        """Make a miss of all values there are."""
        yield ("set", self._generation_name, integer_entry(0), None)

    def get(self, key: str) -> Steps[Any]:
        values = yield from self.get_multi([key])
        return values[0]

    def get_multi(self, keys: Sequence[str]) -> Steps[list[Any]]:
        if not keys:
            return []
        current, *found = yield ("get_many", [self._generation_name, *map(self.name, keys)])
        values, size = [], 0
        for key, entry in zip(keys, found, strict=True):
            is_of_now = entry is not None and current is not None and self._is_of(entry, key, version_of(current))
            values.append(self._value(key, entry) if is_of_now else MISSING)
            size += len(entry or b"")
        misses = sum([value is MISSING for value in values])
        self._statistics.read(len(values) - misses, misses, size)
        return values

    def set(self, key: str, value: Any, ttl: float | None) -> Steps[None]:
        yield from self.set_multi({key: value}, ttl)

    def set_multi(self, values: Mapping[str, Any], ttl: float | None) -> Steps[None]:
        encoded = {self.name(key): self.encoded(key, value) for key, value in values.items()}
        lasting = self.lasting(ttl)
        if not encoded:
            return
        generation = yield from self._generation()
        entries = {name: self.codec.extended(entry, generation=generation) for name, entry in encoded.items()}
        yield from self._written(some(values), "set_many", entries, lasting)
        self._statistics.wrote(len(entries), sum(map(len, entries.values())))

    def _is_of(self, entry: bytes, key: str, generation: bytes) -> bool:
        return self._entry(key, entry).generation == generation

    def _generation(self) -> Steps[bytes]:
        """The generation that values are written in, which begins here where there is none."""
        while True:
            current = yield ("get", self._generation_name)
            if current is not None:
                return version_of(current)
            begun = integer_entry(0)
            if not self._abilities.add:
                yield ("set", self._generation_name, begun, None)
                return version_of(begun)
            if (yield ("add", self._generation_name, begun, None)):
                return version_of(begun)

    def _found(self, key: str) -> Steps[tuple[bytes, Entry | None]]:
        try:
            current, found = yield ("get_many", [self._generation_name, self.name(key)])
            generation = version_of(current) if current is not None else (yield from self._generation())
        except ServiceUnavailable:
            if not self._is_fail_open:
                raise
            return NO_GENERATION, None
        if found is not None and not self._is_of(found, key, generation):
            found = None
        return generation, self._counted(key, found)
