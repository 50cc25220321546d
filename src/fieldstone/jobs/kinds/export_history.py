"""The history of every learner's state, save by save, in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.export.columns import Column, Holds, Row
from fieldstone.jobs.kinds.exporting import Export
from fieldstone.store.export_reads import revisions_of
from fieldstone.store.places import key_text
from fieldstone.store.states import State
from fieldstone.values import Fields, encode_value
from fieldstone.xblock.usernames import usernames


@dataclass(frozen=True)
class ExportHistory(Export):
    """A row a save: what it changed, when, and by whom."""

    name = "export-history"
    stem = "history"
    states_to_a_chunk = 200  # each may have thousands of revisions
    columns = (
        Column("learner_id", Holds.INTEGER),
        Column("username", Holds.TEXT),
        Column("usage_key", Holds.TEXT),
        Column("revision", Holds.INTEGER),
        Column("created", Holds.MOMENT),
        Column("origin", Holds.TEXT),
        Column("actor_id", Holds.INTEGER),
        Column("grade", Holds.NUMBER),
        Column("max_grade", Holds.NUMBER),
        Column("changes", Holds.JSON),
        Column("deleted", Holds.JSON),
    )

    def rows(self, usage_key: UsageKey, states: Mapping[int, State]) -> Iterator[Row]:
        names, text = usernames(states), key_text(usage_key)
        latest = {learner_id: state.revision or 0 for learner_id, state in states.items()}
        for revision in revisions_of(latest, usage_key):
            changes, deleted = _plain(revision.delta)
            yield (
                revision.learner_id,
                names.get(revision.learner_id, ""),
                text,
                revision.number,
                revision.created,
                revision.origin,
                revision.actor_id,
                revision.grade,
                revision.max_grade,
                changes,
                deleted,
            )


def _plain(delta: str) -> tuple[str, str]:
    """A delta as plain JSON, deleted fields as ``null``; and the names of these, since ``null`` may be a value."""
    encoded = json.loads(delta)
    deleted = [name for name, text in encoded.items() if text is None]
    return Fields({name: text or "null" for name, text in encoded.items()}).as_json(), encode_value(deleted)
