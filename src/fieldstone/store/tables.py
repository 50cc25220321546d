"""The names and limits of the tables, for statements and models alike; importing them touches no models."""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT = "fieldstone_learning_context"
USAGE = "fieldstone_usage"
STATE = "fieldstone_student_module"
HISTORY = "fieldstone_student_module_history"


@dataclass(frozen=True)
class FieldTable:
    """A table with a row per field; ``columns`` name the place in it."""

    name: str
    columns: tuple[str, ...]


SUMMARY = FieldTable("fieldstone_user_state_summary", ("usage_id",))
PREFERENCES = FieldTable("fieldstone_preferences", ("student_id", "module_type"))
USER_INFO = FieldTable("fieldstone_user_info", ("student_id",))

SNAPSHOT_EVERY = 50
"""Revisions from one snapshot in the history to the next: at most so many deltas are replayed for a state."""

KEY_LENGTH = 255
FIELD_NAME_LENGTH = 255
BLOCK_TYPE_LENGTH = 64
ORIGIN_LENGTH = 64

LOWEST_ID, HIGHEST_ID = -(2**63), 2**63 - 1
"""Before and after every id that is given out, which are bigints: where a walk over rows begins and ends."""
