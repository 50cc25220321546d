"""What the store, the XBlock face and the runtime raise."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied

from fieldstone.errors.base import FieldstoneError


class InvalidValueError(FieldstoneError, ValueError):
    """A value or a field name cannot be stored. Nothing has been written: change the value and save again."""

    def __init__(self, place: object, field: object, reason: str) -> None:
        super().__init__(f"Field {field!r} of {place} cannot be stored: {reason}. Nothing was saved.")
        self.place = place
        self.field = field
        self.reason = reason


class InvalidPlaceError(FieldstoneError, TypeError):
    """A place is not of a kind that the store knows, or its key is too long. Nothing has been written."""


class InvalidLearnerError(FieldstoneError, ValueError):
    """What was given as a learner has no id that state can be stored under. Nothing has been written."""

    def __init__(self, learner: object) -> None:
        super().__init__(
            f"{learner!r} is not a learner: pass a saved user, or its integer primary key. "
            "State of anonymous visitors does not belong in the store."
        )
        self.learner = learner


class InvalidTokenError(FieldstoneError, ValueError):
    """What was given as a token of a save is none. Nothing has been written."""

    def __init__(self, token: object) -> None:
        super().__init__(
            f"{token!r} is not a token: make one with uuid.uuid4() for each save, and give it at every try of it. "
            "Nothing was saved."
        )
        self.token = token


class ConflictError(FieldstoneError):
    """A save expected an older revision than the stored one. Nothing has been written: read again and decide."""

    def __init__(self, place: Any, expected: int, current: int, field_name: str | None = None) -> None:
        what = f"{place}" if field_name is None else f"{field_name!r} of {place}"
        super().__init__(
            f"{what} is at revision {current}, and revision {expected} was expected: somebody has saved "
            "since it was read. Nothing was saved. Read it again, and save on what is there now."
        )
        self.place = self.usage_key = place  # the older name is of the time when only usage keys had revisions
        self.field_name = field_name  # in the scopes that keep a row per field
        self.expected = expected
        self.current = current


class NoSuchRevisionError(FieldstoneError, LookupError):
    """The history does not reach to the revision or moment that was asked for."""

    def __init__(self, usage_key: object, revision: int) -> None:
        super().__init__(f"{usage_key} has no revision {revision} of this learner.")
        self.usage_key = usage_key
        self.revision = revision


class HistoryTrimmedError(FieldstoneError, LookupError):
    """What was asked for has been there, and is older than what the site keeps: ask for ``oldest``, or newer."""

    def __init__(self, usage_key: object, asked: int | datetime, oldest: int) -> None:
        when = f"revision {asked}" if isinstance(asked, int) else f"the state as of {asked}"
        super().__init__(
            f"{usage_key}: {when} of this learner is no longer kept. The oldest that is kept is revision {oldest}."
        )
        self.usage_key = usage_key
        self.asked = asked
        self.oldest = oldest


class DamagedHistoryError(FieldstoneError):
    """Revisions are missing that the state as of this one follows from: look with ``fieldstone_verify``."""

    def __init__(self, usage: object, learner_id: int, asked: int | datetime) -> None:
        when = f"revision {asked}" if isinstance(asked, int) else f"the state as of {asked}"
        super().__init__(
            f"{usage}: {when} of learner {learner_id} cannot be rebuilt, since revisions that it follows from are"
            f" missing. `manage.py fieldstone_verify --learner {learner_id}` says which."
        )
        self.usage = usage
        self.learner_id = learner_id
        self.asked = asked


class SameHistoryTableError(FieldstoneError):
    """The router sends history to another alias, which leads to the very table that it is to be moved from."""

    def __init__(self, states: str, history: str) -> None:
        super().__init__(
            f"The databases {states!r} and {history!r} are one: history cannot be moved from the one to the other,"
            f" and nothing was. Give {history!r} a database of its own in settings.DATABASES, or let the router"
            f" send StudentModuleHistory to {states!r}."
        )
        self.states = states
        self.history = history


class NothingStoredError(FieldstoneError, LookupError):
    """Nothing is stored of what was named, most often by a slip of the pen: check the name, and the alias."""

    def __init__(self, what: str, alias: str) -> None:
        super().__init__(f"Nothing is stored of {what} on the database {alias!r}. Check how it is written.")
        self.what = what
        self.alias = alias


class UnsupportedEngineError(FieldstoneError):
    """The database alias is on an engine that the store has no statements for."""

    def __init__(self, alias: str, vendor: str, known: list[str]) -> None:
        super().__init__(
            f"Database {alias!r} is {vendor}; the store has statements for {', '.join(known)}. "
            "Point the alias at one of these in settings.DATABASES."
        )
        self.alias = alias
        self.vendor = vendor


class CourseError(FieldstoneError):
    """A course cannot be read. Mend the file at the line named, and start again."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        where = f"{path}, line {line}" if line else f"{path}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class NoSuchBlockError(FieldstoneError, LookupError):
    """The course has no block with this usage key."""

    def __init__(self, usage_key: object) -> None:
        super().__init__(f"The course has no block {usage_key}.")
        self.usage_key = usage_key


class CrossLearnerError(FieldstoneError, PermissionDenied, AssertionError):
    """One learner's field data was asked for another's. An ``AssertionError`` too: older callers catch that."""

    def __init__(self, asked: object, own: object) -> None:
        super().__init__(f"This field data belongs to learner {own}; learner {asked} was asked for.")
        self.asked = asked
        self.own = own


class ReadOnlyError(FieldstoneError):
    """A write to field data that was made read-only. Nothing has been written."""


class InvalidWriteError(FieldstoneError):
    """A write to a field that only the course's author writes. Nothing has been written."""

    def __init__(self, field: object, scope: object) -> None:
        super().__init__(
            f"Field {field!r} is of scope {scope}, which belongs to the course's author: it cannot be written,"
            " and nothing was."
        )
        self.field = field
        self.scope = scope
