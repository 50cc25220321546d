"""Answers are graded again, by what the problem says now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.base import option
from fieldstone.jobs.kinds.blocks import BlockKind
from fieldstone.runtime.block_types import block_class
from fieldstone.store.states import NO_GRADE, Grade


@dataclass(frozen=True)
class Rescore(BlockKind):
    """Who has submitted nothing is skipped."""

    name = "rescore"
    action_name = "rescored"

    only_if_higher: bool = option("leave who would get less than they have", False)

    @classmethod
    def check_blocks(cls, usage_keys: Sequence[UsageKey]) -> None:
        for usage_key in usage_keys:
            if not hasattr(block_class(usage_key.block_type), "rescore"):
                raise JobRefusedError(
                    f"{usage_key} cannot be rescored: <{usage_key.block_type}> has no rescore()."
                )

    def act(self, block: XBlock) -> str:
        if not block.has_submitted_answer():
            return ""
        # The grade, and not the block's own score: the published problem leaves that one as it was.
        cache, usage_key = block.runtime.field_data_cache, block.scope_ids.usage_id
        before = cache.grade(usage_key)
        block.rescore(only_if_higher=self.only_if_higher)
        return f"grade: {_told(before)} to {_told(cache.grade(usage_key))}"


def _told(grade: Grade) -> str:
    return "none" if grade == NO_GRADE else f"{grade.value:g} of {grade.maximum:g}"
