"""What an expiring region keeps of one owner: the states of all its places, in one entry.

One entry, because a save of many blocks is then whole or not at all on every backend, a page is one read, and what
a visitor leaves behind is found without asking a region for its keys (docs/decisions/0015-visitors.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError
from fieldstone.store.places import Expected, Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.plan import Encoded, Plan
from fieldstone.store.states import NO_GRADE, Grade, RowFields, State
from fieldstone.values import Fields

Row = list[Any]
"""Of a field in a scope with a row per field: revision, name, JSON text or ``None`` if deleted, ISO moment."""


@dataclass
class KeptState:
    """``user_state`` at one block."""

    fields: dict[str, str]  # names to JSON text
    revision: int
    modified: str  # ISO
    grade: float | None = None
    max_grade: float | None = None

    def state(self) -> State:
        moment = datetime.fromisoformat(self.modified)
        return State(Fields(self.fields), moment, self.revision, self.grade, self.max_grade)


@dataclass
class Entry:
    """The states of one owner, by the texts of their places."""

    usages: dict[str, KeptState] = field(default_factory=dict)
    summaries: dict[str, dict[str, Row]] = field(default_factory=dict)
    preferences: dict[str, dict[str, Row]] = field(default_factory=dict)
    user_info: dict[str, Row] = field(default_factory=dict)
    claimer: str | None = None
    """Who is claiming all this: only they may. What is saved meanwhile is claimed too."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        usages = {text: KeptState(*row) for text, row in data["usages"].items()}
        return cls(usages, data["summaries"], data["preferences"], data["user_info"], data["claimer"])

    def as_json(self) -> dict[str, Any]:
        """Values that every serializer of regions writes."""
        return {
            "usages": {
                text: [kept.fields, kept.revision, kept.modified, kept.grade, kept.max_grade]
                for text, kept in self.usages.items()
            },
            "summaries": self.summaries,
            "preferences": self.preferences,
            "user_info": self.user_info,
            "claimer": self.claimer,
        }

    def __bool__(self) -> bool:
        return bool(self.usages or self.summaries or self.preferences or self.user_info)

    def check(self, expected: Mapping[Place, Expected]) -> None:
        """Raises ``ConflictError`` where a revision is not the one that was read."""
        for place, wanted in expected.items():
            if isinstance(wanted, int):
                kept = self.usages.get(_text(place))
                current = kept.revision if kept else 0
                if current != wanted:
                    raise ConflictError(place, wanted, current)
                continue
            rows = self._rows(place)
            for name, revision in wanted.items():
                # A field that is not kept here was read from elsewhere, or from nowhere: nobody has saved it here.
                if name in rows and rows[name][0] != revision:
                    raise ConflictError(place, revision, rows[name][0], name)

    def _rows(self, place: Place) -> Mapping[str, Row]:
        if isinstance(place, Summary):
            return self.summaries.get(_text(place.usage_key), {})
        if isinstance(place, Preferences):
            return self.preferences.get(place.block_type, {})
        return self.user_info

    def apply(self, plan: Plan, expected: Mapping[Place, Expected], at: datetime) -> None:
        """Take up a save."""
        moment = at.isoformat()
        for text, encoded in plan.states.items():
            kept = self.usages.setdefault(text, KeptState({}, 0, moment))
            kept.fields = dict(Fields(kept.fields).overlaid(encoded).encoded)
            kept.revision += 1
            kept.modified = moment
            if text in plan.grades:
                kept.grade, kept.max_grade = plan.grades[text]
        read = {_name(place): wanted for place, wanted in expected.items() if not isinstance(wanted, int)}
        for text, encoded in plan.summaries.items():
            _merge(self.summaries.setdefault(text, {}), encoded, read.get(("summary", text), {}), moment)
        for block_type, encoded in plan.preferences.items():
            _merge(self.preferences.setdefault(block_type, {}), encoded, {}, moment)
        _merge(self.user_info, plan.user_info, {}, moment)

    def grade_of(self, text: str) -> Grade:
        kept = self.usages[text]
        return Grade(kept.grade, kept.max_grade) if kept.max_grade is not None else NO_GRADE


def _merge(rows: dict[str, Row], encoded: Encoded, read: Mapping[str, int], moment: str) -> None:
    for name, text in encoded.items():
        before = rows[name][0] if name in rows else read.get(name, 0)
        rows[name] = [before + 1, name, text, moment]


def state_of_rows(rows: Mapping[str, Row], under: State | None = None) -> State | None:
    """The state of a place with a row per field; ``under`` are fields that those here lie over."""
    found: dict[str, tuple[Any, ...]] = {}
    if under is not None and isinstance(under.fields, RowFields):
        revisions, times = under.fields.revisions, under.fields.times
        for name, text in under.fields.encoded.items():
            found[name] = (revisions[name], name, text, times[name])
    for name, (revision, _, text, moment) in rows.items():
        found.pop(name, None)
        if text is not None:
            found[name] = (revision, name, text, datetime.fromisoformat(moment))
    if not found:
        return None
    return State(RowFields(tuple(found.values()), _itself), max(row[-1] for row in found.values()))


_itself: Callable[[Any], datetime] = lambda at: at  # noqa: E731  # a moment already


def _text(usage_key: Any) -> str:
    return key_text(usage_key)


def _name(place: Place) -> tuple[str, str]:
    if isinstance(place, Summary):
        return "summary", key_text(place.usage_key)
    if isinstance(place, Preferences):
        return "preferences", place.block_type
    return ("user_info", "") if isinstance(place, UserInfo) else ("usage", key_text(place))


def usage_key_of(text: str) -> UsageKey:
    """The key of a text, parsed. Old keys have their run behind a ``#`` (``key_text``)."""
    key, _, run = text.partition("#")
    usage_key: UsageKey = UsageKey.from_string(key)
    if not run:
        return usage_key
    whole: UsageKey = usage_key.replace(course_key=usage_key.course_key.replace(run=run))  # type: ignore[no-untyped-call]
    return whole
