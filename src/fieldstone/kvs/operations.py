"""What a region does with its keys, call by call of its backend.

Each operation is a generator that yields calls of the backend, ``("get", name)``, and is sent their results. So it
is written once: ``Runner`` drives it for functions and for coroutines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fieldstone.errors import (
    BadSignatureError,
    FieldstoneError,
    InvalidEntryError,
    InvalidKeyError,
    UnreadableEntryError,
    UnsupportedError,
)
from fieldstone.kvs.entries import MAXIMUM, MINIMUM, NO_GENERATION, Codec, Entry
from fieldstone.kvs.options import Options, is_duration, is_integer
from fieldstone.kvs.runner import Runner, Steps
from fieldstone.values import MISSING

_SHORT = 100
"""Keys and prefixes of so many characters every backend takes."""

_GRAPHIC = bytes(range(0x21, 0x7F))


class Operations:
    """The operations on keys of one region."""

    def __init__(
        self, runner: Runner, codec: Codec, options: Options, key_mangler: Callable[[str], str] | None
    ) -> None:
        self.region = runner.region
        self.codec = codec
        self.options = options
        self._backend = runner.backend
        self._abilities = runner.backend.abilities
        self._statistics = runner.statistics
        self._is_fail_open = runner.is_fail_open
        self.key_mangler = key_mangler
        prefix = self.region if options.prefix is None else options.prefix
        self._space = prefix
        self._begin_names_with(f"{prefix}:" if prefix else "")
        self._lock_prefix = f"{prefix}!"
        self._creation_prefix = f"{prefix}+"

    # Names

    def _begin_names_with(self, prefix: str) -> None:
        self._prefix = prefix
        # Then any key that is short and plain makes a name that the backend takes.
        is_fitting = 0 < len(prefix) <= _SHORT and self._backend.check_key(prefix) is None
        self._is_plain = is_fitting and not self.key_mangler

    def name(self, key: str) -> str:
        """What a key is called on the server. Raises ``InvalidKeyError``."""
        return self._named(self._prefix, key)

    def names(self, keys: Sequence[str]) -> list[str]:
        """``name`` of each; of plain keys at once, in less than half of the time of one by one."""
        try:
            together = "".join([self._prefix, *keys])
            is_plain = together.isascii() and not together.encode().translate(None, _GRAPHIC)
            lengths = {*map(len, keys)}
            if is_plain and self._is_plain and 0 not in lengths and max(lengths) <= _SHORT:
                return [self._prefix + key for key in keys]
        except TypeError:  # a key that is no text is named below
            pass
        return [self.name(key) for key in keys]

    def lock_name(self, key: str) -> str:
        return self._named(self._lock_prefix, key)

    def _named(self, prefix: str, key: str) -> str:
        if not isinstance(key, str):
            raise InvalidKeyError(self.region, key, f"a key is text, not {type(key).__name__}")
        if not key:
            raise InvalidKeyError(self.region, key, "a key has one character at least")
        try:
            name = prefix + (self.key_mangler(key) if self.key_mangler else key)
            if not name.isascii():
                name.encode()  # a lone surrogate
            reason = self._backend.check_key(name)
        except UnicodeEncodeError:
            reason = "it holds a lone surrogate"
        if reason:
            hint = "" if self.key_mangler else " (a key_mangler can make any key fit)"
            raise InvalidKeyError(self.region, key, reason + hint)
        return name

    # Reading

    def get(self, key: str) -> Steps[Any]:
        """The value, or ``MISSING``."""
        found = yield ("get", self.name(key))
        return self._read(key, found)

    def get_now(self, call: Callable[..., Any], key: str) -> Any:
        """``get`` without a generator, which would be a fifth of what a region adds to one."""
        return self._read(key, call("get", self.name(key)))

    def _read(self, key: str, found: bytes | None) -> Any:
        if found is None:
            self._statistics.read(0, 1, 0)
            return MISSING
        value = self._value(key, found)
        self._statistics.read(value is not MISSING, value is MISSING, len(found))
        return value

    def get_multi(self, keys: Sequence[str]) -> Steps[list[Any]]:
        """The values in order, ``MISSING`` where there is none."""
        if not keys:
            return []
        found = yield ("get_many", self.names(keys))
        values = self._values(keys, found)
        misses = sum([value is MISSING for value in values])  # not by ==, which is the values' own
        self._statistics.read(len(values) - misses, misses, sum(map(len, filter(None, found))))
        return values

    def get_entry(self, key: str) -> Steps[Entry | None]:
        """The value with its version."""
        found = yield ("get", self.name(key))
        entry = None if found is None else self._entry(key, found)
        if entry is not None and entry.fresh_until <= time.time():
            entry = None
        self._statistics.read(entry is not None, entry is None, len(found or b""))
        return entry

    def _values(self, keys: Sequence[str], found: Sequence[bytes | None]) -> list[Any]:
        try:
            values = self.codec.values([entry for entry in found if entry is not None])
        except (ValueError, BadSignatureError):  # one by one: to say of which key, or for what only some have
            pairs = zip(keys, found, strict=True)
            return [MISSING if entry is None else self._value(key, entry) for key, entry in pairs]
        if len(values) == len(found):
            return values
        rest = iter(values)
        return [MISSING if entry is None else next(rest) for entry in found]

    def _value(self, key: str, entry: bytes) -> Any:
        if entry[:1].isupper():
            read = self._entry(key, entry)
            return read.value if read.fresh_until > time.time() else MISSING
        try:
            return self.codec.value(entry)
        except (ValueError, BadSignatureError) as error:
            raise UnreadableEntryError(self.region, key, str(error)) from error

    def _entry(self, key: str, entry: bytes) -> Entry:
        try:
            return self.codec.decode(entry)
        except (ValueError, BadSignatureError) as error:
            raise UnreadableEntryError(self.region, key, str(error)) from error

    # Writing

    def set(self, key: str, value: Any, ttl: float | None) -> Steps[None]:
        entry = self.encoded(key, value)
        yield from self._written(key, "set", self.name(key), entry, self.lasting(ttl))
        self._statistics.wrote(1, len(entry))

    def set_now(self, call: Callable[..., Any], key: str, value: Any, ttl: float | None) -> None:
        """``set`` as ``get_now``."""
        entry = self.encoded(key, value)
        try:
            call("set", self.name(key), entry, self.lasting(ttl))
        except FieldstoneError:
            raise
        except ValueError as error:
            raise InvalidEntryError(self.region, key, str(error)) from error
        self._statistics.wrote(1, len(entry))

    def set_multi(self, values: Mapping[str, Any], ttl: float | None) -> Steps[None]:
        if not values:
            return
        entries = {self.name(key): self.encoded(key, value) for key, value in values.items()}
        yield from self._written(some(values), "set_many", entries, self.lasting(ttl))
        self._statistics.wrote(len(entries), sum(map(len, entries.values())))

    def delete(self, key: str) -> Steps[bool]:
        is_deleted: bool = yield ("delete", self.name(key))
        self._statistics.deleted(1)
        return is_deleted

    def delete_multi(self, keys: Sequence[str]) -> Steps[int]:
        if not keys:
            return 0
        count: int = yield ("delete_many", [self.name(key) for key in keys])
        self._statistics.deleted(len(keys))
        return count

    def add(self, key: str, value: Any, ttl: float | None) -> Steps[bool]:
        self.require("add")
        entry = self.encoded(key, value)
        is_added: bool = yield from self._written(key, "add", self.name(key), entry, self.lasting(ttl))
        self._statistics.wrote(is_added, len(entry) if is_added else 0)
        return is_added

    def incr(self, key: str, by: int, initial: int, ttl: float | None) -> Steps[int]:
        self.require("incr")
        for number in (by, initial):
            if not is_integer(number, at_least=MINIMUM) or number > MAXIMUM:
                raise InvalidEntryError(self.region, key, f"{number!r} is no integer of 64 bits")
        total: int = yield from self._written(key, "incr", self.name(key), by, initial, self.lasting(ttl))
        self._statistics.wrote(1, 0)
        return total

    def compare_and_set(self, key: str, value: Any, version: bytes, ttl: float | None) -> Steps[bool]:
        self.require("compare_and_set")
        if type(version) is not bytes or len(version) != len(NO_GENERATION):
            raise InvalidEntryError(self.region, key, f"{version!r} is no version: get_with_version() gives them")
        entry = self.encoded(key, value)
        name = self.name(key)
        is_set: bool = yield from self._written(key, "compare_and_set", name, entry, version, self.lasting(ttl))
        self._statistics.wrote(is_set, len(entry) if is_set else 0)
        return is_set

    def touch(self, key: str, ttl: float | None) -> Steps[bool]:
        self.require("touch")
        was_there: bool = yield ("touch", self.name(key), self.lasting(ttl))
        return was_there

    def _written(self, key: str, *call: Any) -> Steps[Any]:
        try:
            return (yield call)
        except FieldstoneError:
            raise
        except ValueError as error:
            raise InvalidEntryError(self.region, key, str(error)) from error

    def encoded(self, key: str, value: Any) -> bytes:
        """Raises ``InvalidEntryError`` for what cannot be kept."""
        try:
            entry = self.codec.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            reason = f"{type(self.codec.serializer).__name__} cannot write it ({error})"
            raise InvalidEntryError(self.region, key, reason) from error
        limit = self._abilities.max_value_bytes
        if limit is not None and len(entry) > limit:
            raise InvalidEntryError(self.region, key, f"it takes {len(entry):,} bytes, and {limit:,} are allowed")
        return entry

    def lasting(self, ttl: float | None) -> float | None:
        """Seconds, or ``None`` for ever, where a caller gave this. Raises ``ValueError``."""
        if ttl is None:
            ttl = self.options.ttl
        elif not is_duration(ttl):
            raise ValueError(f"ttl is {ttl!r}, and should be a number of seconds above 0, or math.inf")
        return None if ttl is None or math.isinf(ttl) else float(ttl)

    def require(self, ability: str) -> None:
        """Raises ``UnsupportedError`` for what the backend cannot do."""
        if not getattr(self._abilities, ability):
            raise UnsupportedError(self.region, self._backend.kind, ability)

    # All keys

    def page_of_keys(self, cursor: Any, count: int) -> Steps[tuple[list[str], Any]]:
        """Some keys, as they are on the server without the prefix, and where to go on."""
        self.require("iterate")
        names, following = yield ("scan", self._prefix, cursor, count)
        return [name[len(self._prefix) :] for name in names], following

    def clear(self, count: int = 1000) -> Steps[int]:
        """Delete all keys; how many there were."""
        self.require("iterate")
        deleted, cursor = 0, None
        while True:
            names, cursor = yield ("scan", self._prefix, cursor, count)
            if names:
                deleted += yield ("delete_many", names)
            if cursor is None:
                return deleted


def some(keys: Mapping[str, Any]) -> str:
    """Keys for a message."""
    first = next(iter(keys))
    return first if len(keys) == 1 else f"{first} and {len(keys) - 1} more"
