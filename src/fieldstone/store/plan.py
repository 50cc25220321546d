"""A save, checked and encoded whole before anything is written, and sorted by the table it goes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import InvalidPlaceError, InvalidValueError
from fieldstone.store.engines.base import Engine
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.states import NO_GRADE, Grade
from fieldstone.store.tables import BLOCK_TYPE_LENGTH, FIELD_NAME_LENGTH
from fieldstone.values import encode_changes, encode_fields

Encoded = dict[str, str | None]


@dataclass
class Plan:
    """The encoded changes of one save."""

    keys: dict[str, UsageKey] = field(default_factory=dict)  # every usage key in it, by its text
    states: dict[str, Encoded] = field(default_factory=dict)
    grades: dict[str, Grade] = field(default_factory=dict)  # for some of the keys of states
    looked_at: set[str] = field(default_factory=set)  # of those, which are looked at though no field is saved
    summaries: dict[str, Encoded] = field(default_factory=dict)
    preferences: dict[str, Encoded] = field(default_factory=dict)
    user_info: Encoded = field(default_factory=dict)

    @classmethod
    def of(cls, changes: Mapping[Place, Mapping[str, Any]], grades: Mapping[UsageKey, Grade]) -> Plan:
        """The plan for these changes. Raises ``InvalidPlaceError`` or ``InvalidValueError``."""
        plan = cls()
        for place, fields in changes.items():
            if fields:
                plan.add(place, encode_changes(place, fields))
        for usage_key, grade in grades.items():
            plan.add_grade(usage_key, grade)
        return plan

    def add(self, place: Place, encoded: Encoded, text: str | None = None) -> None:
        """Save encoded changes of a place; who has the ``key_text`` of its usage key gives it.

        Raises ``InvalidPlaceError`` or ``InvalidValueError``.
        """
        if not isinstance(place, Summary | Preferences | UserInfo):
            text = text or key_text(place)
            self.keys[text] = place
            self.states.setdefault(text, {}).update(encoded)  # two keys may have one text
            return
        for name in encoded:
            if len(name) > FIELD_NAME_LENGTH:
                raise InvalidValueError(place, name, f"its name is longer than {FIELD_NAME_LENGTH} characters")
        if isinstance(place, Summary):
            text = text or key_text(place.usage_key)
            self.keys[text] = place.usage_key
            self.summaries.setdefault(text, {}).update(encoded)
        elif isinstance(place, Preferences):
            if not 0 < len(place.block_type) <= BLOCK_TYPE_LENGTH:
                raise InvalidPlaceError(f"{place!r}: a block type is 1 to {BLOCK_TYPE_LENGTH} characters.")
            self.preferences[place.block_type] = encoded
        else:
            self.user_info = encoded

    def add_grade(self, usage_key: UsageKey, grade: Grade) -> None:
        """Save a grade. Raises ``InvalidPlaceError`` or ``InvalidValueError``."""
        if grade != NO_GRADE and not all(isinstance(n, int | float) and math.isfinite(n) for n in grade):
            raise InvalidValueError(
                usage_key, "grade", f"a value and a maximum are two finite numbers, not {grade}"
            )
        text = key_text(usage_key)
        self.keys[text] = usage_key
        self.grades[text] = grade if grade == NO_GRADE else Grade(*map(float, grade))  # type: ignore[arg-type]
        self.states.setdefault(text, {})

    def __bool__(self) -> bool:
        return bool(self.states or self.field_tables())

    def add_row(self, usage_key: UsageKey, *, is_looked_at: bool) -> None:
        """Save the row of a block in any case, though no field changes and no grade."""
        text = key_text(usage_key)
        self.keys[text] = usage_key
        self.states.setdefault(text, {})
        if is_looked_at:
            self.looked_at.add(text)

    def fields_of(self, place: Place) -> Mapping[str, str | None] | None:
        """The changes of a place's fields; ``None`` where it is not saved."""
        if isinstance(place, Summary):
            return self.summaries.get(key_text(place.usage_key))
        if isinstance(place, Preferences):
            return self.preferences.get(place.block_type)
        return self.user_info if isinstance(place, UserInfo) else self.states.get(key_text(place))

    def delta(self, text: str) -> str | None:
        """What a save does to the fields of a state; ``None`` for a grade alone, which does not look at them."""
        fields = self.states[text]
        return encode_fields(fields) if fields or text in self.looked_at else None

    @property
    def is_personal(self) -> bool:
        """Whether anything in it is of one learner."""
        return bool(self.states or self.preferences or self.user_info or not self.summaries)

    def field_tables(self) -> list[Mapping[str, Encoded]]:
        """The changes of each scope with a row per field that is touched."""
        return [table for table in (self.summaries, self.preferences, {"": self.user_info}) if any(table.values())]

    @property
    def cleared(self) -> list[str]:
        """The keys whose grades are taken away."""
        return [text for text, grade in self.grades.items() if grade == NO_GRADE]

    def statements(self, engine: Engine) -> int:
        """How many statements the save takes at most: of ``Engine.save_fields`` one for sets, one a deletion."""
        of_fields = 0
        for table in self.field_tables():
            deletions = [text is None for fields in table.values() for text in fields.values()]
            of_fields += sum(deletions) + (not all(deletions))
        return of_fields + 2 * bool(self.cleared) + (engine.statements_to_save_states if self.states else 0)
