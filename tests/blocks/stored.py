"""Which fields lie in a workbench's database, read past the code under test."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.browser.server import Workbench

STATE = """
SELECT CASE WHEN usage.key LIKE 'aside-%' THEN 'runtime' ELSE usage.block_type END, state.fields
FROM fieldstone_student_module AS state
JOIN fieldstone_usage AS usage ON usage.id = state.usage_id
JOIN auth_user AS student ON student.id = state.student_id WHERE student.username = ?
"""
PREFERENCES = """
SELECT field.module_type, field.field_name FROM fieldstone_preferences AS field
JOIN auth_user AS student ON student.id = field.student_id WHERE student.username = ?
"""
USER_INFO = """
SELECT 'user_info', field.field_name FROM fieldstone_user_info AS field
JOIN auth_user AS student ON student.id = field.student_id WHERE student.username = ?
"""
SUMMARY = """
SELECT DISTINCT usage.block_type, field.field_name FROM fieldstone_user_state_summary AS field
JOIN fieldstone_usage AS usage ON usage.id = field.usage_id
JOIN fieldstone_student_module AS state ON state.usage_id = usage.id
JOIN auth_user AS student ON student.id = state.student_id WHERE student.username = ?
"""


def stored_fields(workbench: Workbench, learner: str) -> frozenset[str]:
    """``block type.field`` for each field stored of a learner, and for those that all share at the same blocks.

    What the runtime itself keeps beside a block is ``runtime.field``.
    """
    with closing(sqlite3.connect(workbench.var / "workbench.sqlite3")) as database:
        names = {
            f"{block_type}.{name}"
            for block_type, fields in database.execute(STATE, [learner])
            for name in json.loads(fields or "{}")
        }
        for statement in (PREFERENCES, USER_INFO, SUMMARY):
            names |= {".".join(row) for row in database.execute(statement, [learner])}
    return frozenset(names)
