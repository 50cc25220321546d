"""The types of the tables' columns, and of the keys that querysets show beside them."""

from __future__ import annotations

import json
from typing import Any

from django.db import NotSupportedError, models
from django.db.backends.base.base import BaseDatabaseWrapper
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from fieldstone.errors import InvalidPlaceError, InvalidValueError
from fieldstone.store.places import context_text, key_text, parse_key
from fieldstone.values import Fields, decode_value, encode_fields, encode_value


class BigForeignKey(models.ForeignKey):  # type: ignore[type-arg]  # generic only in the stubs
    """A foreign key that is a bigint whatever the key it points to, so that one statement serves every project."""

    def __init__(self, to: Any, on_delete: Any = models.CASCADE, **options: Any) -> None:
        super().__init__(to, on_delete, **{"db_constraint": False, "db_index": False, **options})

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return models.BigIntegerField().db_type(connection)


class KeyField(models.CharField):  # type: ignore[type-arg]  # generic only in the stubs
    """A short text that is told apart by every character of it, trailing spaces and case too, on every engine."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return _exact(super().db_type(connection), connection, "utf8mb4_nopad_bin")


class BlockTypeField(KeyField):
    """A block type: plain text, or of asides a ``BlockTypeKey``."""

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None or hasattr(value, "resolve_expression") else str(value)


class UsageKeyField(KeyField):
    """The text of a usage key in the database, the key in Python; texts are taken for keys, too."""

    def from_db_value(self, value: str | None, *_: Any) -> UsageKey | None:
        return None if value is None else parse_key(value)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return key_text(usage_key_of(value))


class ContextKeyField(KeyField):
    """The text of a learning context's key in the database, the key in Python; texts are taken for keys, too."""

    def from_db_value(self, value: str | None, *_: Any) -> LearningContextKey | None:
        return None if value is None else context_key_of(value)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return context_text(context_key_of(value))


class JSONTextField(models.TextField):  # type: ignore[type-arg]  # generic only in the stubs
    """JSON text as ``fieldstone.values`` makes it: ASCII, whatever is in it."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return _exact(super().db_type(connection), connection, "utf8mb4_bin")


class StateField(JSONTextField):
    """A fields column in the database; in Python the fields as plain JSON text, ``{"attempts": 1}``, or ``None``.

    ``None`` says that nobody has looked at the block; a state emptied of its fields is ``{}``.
    """

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if value is None:
            return None
        try:
            return Fields.from_text(value).as_json()
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"A state is damaged ({error}): `manage.py fieldstone_verify` says whose. With defer('state') all"
                " other columns can be read."
            ) from error

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return encode_fields(encoded_state("a state", value))

    def get_lookup(self, lookup_name: str) -> Any:
        lookup = super().get_lookup(lookup_name)
        return lookup if lookup is None or lookup_name == "isnull" else _refusing(lookup)


def _refusing(lookup: type[models.Lookup[Any]]) -> type[models.Lookup[Any]]:
    """A lookup that takes ``None``, which Django turns into ``isnull``, and no text."""

    class Refusing(lookup):  # type: ignore[valid-type,misc]  # a class made of an argument
        def get_prep_lookup(self) -> Any:
            if self.rhs is not None:
                raise NotSupportedError(
                    "States are not compared in SQL, since they are not stored as the text that .state shows:"
                    " filter by learner and block, and look into .state in Python. Only state=None and"
                    " state__isnull work."
                )
            return None

    return Refusing


def encoded_state(place: object, text: Any) -> dict[str, str]:
    """The fields in the plain JSON text of a state, each encoded. Raises ``InvalidValueError``."""
    if text is None:
        return {}
    try:
        fields = decode_value(text)
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"a state is the JSON text of an object, as json.dumps(fields) makes it ({error})"
        raise InvalidValueError(place, "state", reason) from error
    if not isinstance(fields, dict):
        reason = f"a state is a JSON object of fields by name, not {json.dumps(fields)[:40]}"
        raise InvalidValueError(place, "state", reason)
    return {name: encode_value(value) for name, value in fields.items()}


def usage_key_of(given: Any, context: LearningContextKey | None = None) -> UsageKey:
    """A usage key, given as one or as its text; an old key without a run is mapped into the context.

    Raises ``InvalidPlaceError``.
    """
    if isinstance(given, UsageKey):
        key = given
    else:
        try:
            key = parse_key(given)
        except (InvalidKeyError, AttributeError, TypeError) as error:
            raise InvalidPlaceError(f"{given!r} is neither a usage key nor the text of one.") from error
    if isinstance(context, CourseKey) and key.deprecated and getattr(key.context_key, "run", "") is None:
        key = key.map_into_course(context)
    return key


def context_key_of(given: Any) -> LearningContextKey:
    """A learning context's key, given as one or as its text. Raises ``InvalidPlaceError``."""
    if isinstance(given, LearningContextKey):
        return given
    try:
        return LearningContextKey.from_string(given)
    except (InvalidKeyError, AttributeError, TypeError) as error:
        raise InvalidPlaceError(f"{given!r} is neither a course key nor the text of one.") from error


def _exact(column: str | None, connection: BaseDatabaseWrapper, collation: str) -> str | None:
    """A column's type, with a collation where the database's own would find different texts the same: MariaDB."""
    if connection.vendor != "mysql":
        return column
    return f"{column} CHARACTER SET utf8mb4 COLLATE {collation}"
