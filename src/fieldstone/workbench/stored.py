"""What is stored of a learner at a block, as the panel below the block shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xblock.fields import Scope

from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.store.reading import Wanted
from fieldstone.store.store import Store
from fieldstone.values import DELETED

Rows = list[tuple[str, str | None]]
HISTORY_SHOWN = 20
LINE = 60


@dataclass(frozen=True)
class ShownState:
    revision: int | None
    modified: datetime
    fields: Rows
    grade: float | None
    max_grade: float | None


@dataclass(frozen=True)
class ShownScope:
    name: str
    fields: Rows


@dataclass(frozen=True)
class ShownRevision:
    revision: int
    created: datetime
    origin: str
    changes: Rows


def stored_at(runtime: CourseRuntime, usage_key: Any) -> dict[str, Any]:
    """The learner's state at a block and at those below it, the fields of the other scopes, and the history."""
    block = runtime.get_block(usage_key)
    others: dict[str, Place] = {
        Scope.user_state_summary.name: Summary(usage_key),
        Scope.preferences.name: Preferences(block.scope_ids.block_type),
        Scope.user_info.name: UserInfo(),
    }
    declared = {field.scope.name for field in block.fields.values()}
    places = {name: place for name, place in others.items() if name in declared}
    states = runtime.field_data_cache.backing.read(runtime.user, Wanted.of([usage_key, *places.values()]))
    history = Store().history(runtime.user, usage_key) if runtime.viewer.is_persisted else []
    state = states.get(usage_key)
    return {
        "state": state
        and ShownState(state.revision, state.modified, _rows(state.fields), state.grade, state.max_grade),
        "scopes": [
            ShownScope(name, _rows(states[place].fields)) for name, place in places.items() if place in states
        ],
        "history": [
            ShownRevision(revision.number, revision.at, revision.origin, _rows(revision.changes))
            for revision in history[:HISTORY_SHOWN]
        ],
    }


def _rows(fields: Mapping[str, Any]) -> Rows:
    return [(name, None if value is DELETED else _json(value)) for name, value in sorted(fields.items())]


def _json(value: Any) -> str:
    """Short values on one line."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= LINE else json.dumps(value, ensure_ascii=False, indent=1)
