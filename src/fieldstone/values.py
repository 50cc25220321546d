"""What a field's value may be, and how fields become text and come back.

A value is anything that Python's ``json`` writes: it comes back as ``json`` reads it, so tuples come back as
lists and the keys of objects as strings, exactly as they did in the systems before this one. Named tuples are
written as objects: Open edX's stores do so (simplejson), and XBlock's ``ScoreField`` reads nothing else.
``NaN`` and ``Infinity`` are kept in Python's spelling: a block that computed one loses nothing.

The fields of a place are one JSON object whose values are *JSON text as strings*, ``{"attempts": "1"}``. A merge
on the server then replaces whole values and never looks into them, so no engine can merge deeply, drop a null,
round a number or refuse ``\\u0000`` (docs/decisions/0001-string-encoded-fields.md). A raw ``null`` where a string
should be means that the field is deleted; so does, in a fields column, an empty string, which is no JSON.
"""

from __future__ import annotations

import enum
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fieldstone import conf
from fieldstone.errors import InvalidValueError


class _Marker(enum.Enum):
    MISSING = "MISSING"
    DELETED = "DELETED"

    def __repr__(self) -> str:
        return self.value


MISSING: Final = _Marker.MISSING
"""No value is stored. ``None`` is a value."""

DELETED: Final = _Marker.DELETED
"""Given as a value in a save, it deletes the field."""

ROOM = 4_000
"""Levels of nesting beyond what Python's limit leaves: values of depth 1,000 are kept, wherever they are saved."""

_room = threading.Lock()
_compact = json.JSONEncoder(separators=(",", ":"))
_SCALARS: dict[type, Callable[[Any], str]] = {
    str: json.encoder.encode_basestring_ascii,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
}
"""What ``json`` does with the commonest values, without the encoder that it builds for each."""

_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]  # a C function


def encode_value(value: Any) -> str:
    """The value as ASCII JSON text.

    Raises ``TypeError``, ``ValueError`` or ``RecursionError`` where ``json`` does; ``encode_changes`` names the
    place and the field.
    """
    write = _SCALARS.get(type(value))
    if write is not None:
        return write(value)
    if _has_named_tuple(value):
        value = _with_names(value)
    try:
        return _compact.encode(value)
    except RecursionError:
        text: str = _with_room(_compact.encode, value)
        return text


def _has_named_tuple(value: Any) -> bool:
    # A loop, since a value may be nested deeper than Python calls itself; `seen`, since it may hold itself.
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, dict | list | tuple) or id(item) in seen:
            continue
        if hasattr(item, "_asdict"):
            return True
        seen.add(id(item))
        waiting.extend(item.values() if isinstance(item, dict) else item)
    return False


def _with_names(value: Any) -> Any:
    """The value with an object in the place of each named tuple."""
    if isinstance(value, dict):
        return {key: _with_names(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _with_names(value._asdict())
    if isinstance(value, list | tuple):
        return [_with_names(item) for item in value]
    return value


def _with_room(function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a function of ``json`` that Python's limit on recursion was too low for.

    The limit is the whole process's: the lock keeps one thread from lowering it while another needs it.
    """
    with _room:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + ROOM)
        try:
            return function(argument)
        finally:
            sys.setrecursionlimit(limit)


def decode_value(text: str) -> Any:
    """The value that ``encode_value`` was given; a new object at each call.

    Raises ``json.JSONDecodeError`` for what is not JSON.
    """
    # Our own texts begin and end with the value: without the decoder's two searches for white space a small one
    # is decoded four times faster.
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        return json.loads(text)
    except RecursionError:
        return _with_room(json.loads, text)
    return value if end == len(text) else json.loads(text)


def encode_changes(place: object, changes: Mapping[str, Any]) -> dict[str, str | None]:
    """The changes of one place with each value as JSON text, and ``None`` for ``DELETED``.

    Raises ``InvalidValueError`` for the first field that cannot be stored.
    """
    limit = conf.max_value_bytes()
    encoded: dict[str, str | None] = {}
    for name, value in changes.items():
        _check_name(place, name)
        try:
            text = None if value is DELETED else encode_value(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValueError(place, name, f"JSON cannot write it ({error})") from error
        if text is not None and len(text) > limit:
            raise InvalidValueError(place, name, f"it takes {len(text):,} bytes, and {limit:,} are allowed")
        encoded[name] = text
    return encoded


def encode_fields(encoded: Mapping[str, str | None]) -> str:
    """The text of a fields column, or of a delta: ASCII, so that no engine's own text rules touch it."""
    return _compact.encode(encoded)


def _check_name(place: object, name: object) -> None:
    if not isinstance(name, str):
        raise InvalidValueError(place, name, f"a field's name is a string, not {type(name).__name__}")
    if "\x00" in name:
        raise InvalidValueError(place, name, "PostgreSQL cannot store U+0000 in a field's name")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(place, name, "its name holds a lone surrogate") from error


class Fields(Mapping[str, Any]):
    """The fields of one place: names to values, each decoded when it is asked for.

    Immutable, and every access gives a new object: changing it changes nothing stored.
    """

    __slots__ = ("_encoded", "_text")

    def __init__(self, encoded: Mapping[str, str]) -> None:
        self._encoded: Mapping[str, str] | None = encoded
        self._text = ""

    @classmethod
    def from_text(cls, text: str) -> Fields:
        """The fields in the text of a fields column, which is looked into only when a field is asked for."""
        fields = cls.__new__(cls)
        fields._encoded = None
        fields._text = text
        return fields

    @property
    def encoded(self) -> Mapping[str, str]:
        """Names to JSON text, not decoded."""
        if self._encoded is None:
            encoded = decode_value(self._text)
            if not all(encoded.values()):  # a field was deleted: see the module's docstring
                encoded = {name: text for name, text in encoded.items() if text}
            self._encoded = encoded
        return self._encoded

    def overlaid(self, changes: Mapping[str, str | None]) -> Fields:
        """These fields with encoded changes over them; ``None`` deletes."""
        merged = {**self.encoded, **changes}
        return Fields({name: text for name, text in merged.items() if text is not None})

    def __getitem__(self, name: str) -> Any:
        return decode_value(self.encoded[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.encoded)

    def __len__(self) -> int:
        return len(self.encoded)

    def __contains__(self, name: object) -> bool:
        return name in self.encoded

    def __repr__(self) -> str:
        return f"Fields({dict(self)!r})"

    def as_dict(self) -> dict[str, Any]:
        """All fields, decoded at once, which is faster than one by one."""
        encoded = self.encoded
        return dict(zip(encoded, decode_value(f"[{','.join(encoded.values())}]"), strict=True))

    def as_json(self) -> str:
        """The fields as plain JSON text, ``{"attempts": 1}``."""
        return "{" + ", ".join(f"{_compact.encode(n)}: {text}" for n, text in self.encoded.items()) + "}"
