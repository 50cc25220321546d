"""What a region writes: one value with its version, as bytes.

    byte 0      how the value is written: a serializer's letter, or ``i``, an integer in decimal ASCII digits
    1 to 8      the version: random, another one at each write, so that no value is mistaken for an equal older one
    9 to        the value

A capital letter says that two fields stand before the value: until when it is fresh (a big-endian double, seconds
since the epoch; infinity: as long as it is there) and the generation of its namespace (8 bytes, zeros for none).

Integers that take 64 bits, signed, are digits whatever the serializer is, so that servers can count.
"""

from __future__ import annotations

import math
import os
import random
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from fieldstone.kvs.serializers import Serializer

VERSION = slice(1, 9)
VALUE_AT = 9
INTEGER = b"i"
MINIMUM, MAXIMUM = -(2**63), 2**63 - 1
NO_GENERATION = bytes(8)

_random = random.Random()  # noqa: S311  # to be told apart, not to be secret; and nobody else seeds this one
_version = _random.randbytes
os.register_at_fork(after_in_child=_random.seed)

_EXTENSION = struct.Struct(">d8s")
_EXTENDED_VALUE_AT = VALUE_AT + _EXTENSION.size


class Entry(NamedTuple):
    """A value as it was stored."""

    value: Any
    version: bytes
    fresh_until: float = math.inf  # seconds since the epoch
    generation: bytes = NO_GENERATION


class Codec:
    """Values to entries and back, by one serializer."""

    def __init__(self, serializer: Serializer) -> None:
        self.serializer = serializer
        self._write, self._read = serializer.dumps, serializer.loads
        self._letter = serializer.letter
        self.code = serializer.letter[0]

    def encode(self, value: Any) -> bytes:
        """Raises ``TypeError``, ``ValueError`` or ``RecursionError`` for what the serializer cannot write."""
        if type(value) is int and MINIMUM <= value <= MAXIMUM:
            return b"i%b%d" % (_version(8), value)
        return self._letter + _version(8) + self._write(value)

    def extended(self, entry: bytes, fresh_until: float = math.inf, generation: bytes = NO_GENERATION) -> bytes:
        """The entry with the two fields before its value; it had none."""
        return entry[:1].upper() + entry[VERSION] + _EXTENSION.pack(fresh_until, generation) + entry[VALUE_AT:]

    def value(self, entry: bytes) -> Any:
        """The value alone. Raises ``ValueError`` for what is no entry of this serializer."""
        if entry and entry[0] == self.code:
            return self._read(entry[VALUE_AT:])
        return self.decode(entry).value

    def values(self, entries: Sequence[bytes]) -> list[Any]:
        """The values of many entries at once. Raises ``ValueError`` unless all are plain, of this serializer."""
        if {entry[:1] for entry in entries} - {self._letter}:
            raise ValueError("there is another kind of entry among them")
        return self.serializer.loads_many([entry[VALUE_AT:] for entry in entries])

    def decode(self, entry: bytes) -> Entry:
        """Raises ``ValueError`` for what is no entry of this serializer."""
        letter, version = entry[:1], entry[VERSION]
        if len(version) < 8:
            raise ValueError("it is shorter than an entry")
        fresh_until, generation, value_at = math.inf, NO_GENERATION, VALUE_AT
        if letter.isupper():
            letter, value_at = letter.lower(), _EXTENDED_VALUE_AT
            try:
                fresh_until, generation = _EXTENSION.unpack_from(entry, VALUE_AT)
            except struct.error:
                raise ValueError("it is shorter than an entry") from None
        if letter == INTEGER:
            return Entry(int(entry[value_at:]), version, fresh_until, generation)
        if letter != self._letter:
            raise ValueError(
                f"it was written by another serializer ({letter!r}), and this region's is {self._letter!r}"
            )
        return Entry(self._read(entry[value_at:]), version, fresh_until, generation)


def version_of(entry: bytes) -> bytes:
    return entry[VERSION]


def integer_entry(number: int) -> bytes:
    return b"i%b%d" % (_version(8), number)


def incremented(entry: bytes | None, by: int, initial: int) -> tuple[bytes, int]:
    """The entry after adding, and the sum; for backends whose server cannot count by itself.

    Raises ``ValueError`` for what is no integer entry, and for sums beyond 64 bits, signed.
    """
    head, number = b"", initial
    if entry is not None:
        value_at = {b"i": VALUE_AT, b"I": _EXTENDED_VALUE_AT}.get(entry[:1])
        if value_at is None:
            raise ValueError("it holds no integer")
        head, number = entry[VALUE_AT:value_at], int(entry[value_at:])
    total = number + by
    if not MINIMUM <= total <= MAXIMUM:
        raise ValueError(f"{number} + {by} takes more than 64 bits")
    letter = entry[:1] if entry is not None else INTEGER
    return b"%b%b%b%d" % (letter, _version(8), head, total), total
