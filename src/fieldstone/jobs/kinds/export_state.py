"""The state of every learner, as it is stored, in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.export.columns import Column, Holds, Row
from fieldstone.jobs.kinds.exporting import Export
from fieldstone.store.places import key_text
from fieldstone.store.states import State
from fieldstone.xblock.usernames import usernames


@dataclass(frozen=True)
class ExportState(Export):
    """A row a learner and block: fields, grade, revision."""

    name = "export-state"
    stem = "state"
    columns = (
        Column("learner_id", Holds.INTEGER),
        Column("username", Holds.TEXT),
        Column("usage_key", Holds.TEXT),
        Column("block_type", Holds.TEXT),
        Column("revision", Holds.INTEGER),
        Column("modified", Holds.MOMENT),
        Column("grade", Holds.NUMBER),
        Column("max_grade", Holds.NUMBER),
        Column("fields", Holds.JSON),
    )

    def rows(self, usage_key: UsageKey, states: Mapping[int, State]) -> Iterator[Row]:
        names, text, block_type = usernames(states), key_text(usage_key), usage_key.block_type
        for learner_id, state in states.items():
            yield (
                learner_id,
                names.get(learner_id, ""),
                text,
                block_type,
                state.revision,
                state.modified,
                state.grade,
                state.max_grade,
                state.fields.as_json(),
            )
