"""A score that somebody has decided on, in place of the block's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock
from xblock.scorable import Score

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.base import option
from fieldstone.jobs.kinds.blocks import BlockKind
from fieldstone.runtime.block_types import block_class


@dataclass(frozen=True)
class OverrideScore(BlockKind):
    """Learners who have not looked at the block yet can be named, and get the score as well."""

    name = "override-score"
    action_name = "overridden"
    needs_state = False

    score: float = option("from 0 to the block's maximum")

    def __post_init__(self) -> None:
        if not isfinite(self.score) or self.score < 0:
            raise JobRefusedError(f"A score is 0 or more, and not {self.score}.")

    @classmethod
    def check_blocks(cls, usage_keys: Sequence[UsageKey]) -> None:
        for usage_key in usage_keys:
            if not hasattr(block_class(usage_key.block_type), "set_score"):
                raise JobRefusedError(
                    f"{usage_key} can have no other score: <{usage_key.block_type}> has no set_score()."
                )

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        for usage_key in usage_keys:
            maximum = self.block_of_nobody(usage_key).max_score()
            if maximum is None or self.score > maximum:
                raise JobRefusedError(f"A score at {usage_key} is 0 to {maximum}, and not {self.score}.")

    def act(self, block: XBlock) -> str:
        maximum = block.max_score()
        if maximum is None or self.score > maximum:
            raise ValueError(f"{self.score} is more than the {maximum} that the block can give.")
        score = Score(raw_earned=self.score, raw_possible=maximum)
        block.set_score(score)
        block._publish_grade(score)
        return f"score: {self.score} of {maximum}"
