"""``completion``: how far the learner has completed blocks."""

from __future__ import annotations

from collections.abc import Iterable

from opaque_keys.edx.keys import UsageKey
from xblock.completable import XBlockCompletionMode
from xblock.core import XBlock

from fieldstone.runtime.services.host import Host

_DELAY_MS = 5000
"""How long a block that is complete on view has to be in view, in milliseconds: Open edX's default."""


class CompletionService:
    """The calls of Open edX's service. A completion is 0.0 (not at all) to 1.0; blocks set it by ``publish``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def completion_tracking_enabled(self) -> bool:
        """Is there a learner whose completion could be kept?"""
        return self._host.user is not None

    def get_completions(self, candidates: Iterable[UsageKey]) -> dict[UsageKey, float]:
        """Of each of these blocks, 0.0 where none is stored; one query at most."""
        keys = list(candidates)
        if not self.completion_tracking_enabled():
            return dict.fromkeys(keys, 0.0)
        return {**dict.fromkeys(keys, 0.0), **self._host.learner_state.completions(keys)}

    def vertical_is_complete(self, item: XBlock) -> bool:
        """Is all that can be completed below this block complete?"""
        wanted = self._completable_below(item)
        completions = self.get_completions([block.scope_ids.usage_id for block in wanted])
        return all(completion >= 1.0 for completion in completions.values())

    def _completable_below(self, item: XBlock) -> list[XBlock]:
        found = []
        for child in item.get_children():
            mode = XBlockCompletionMode.get_mode(child)
            if mode == XBlockCompletionMode.AGGREGATOR or (child.has_children and child.children):
                found += self._completable_below(child)
            elif mode == XBlockCompletionMode.COMPLETABLE:
                found.append(child)
        return found

    def get_complete_on_view_delay_ms(self) -> int:
        return _DELAY_MS

    def can_mark_block_complete_on_view(self, block: XBlock) -> bool:
        """Does it count as completed once seen, having neither a score, a way of its own nor children?"""
        return (
            XBlockCompletionMode.get_mode(block) == XBlockCompletionMode.COMPLETABLE
            and not getattr(block, "has_custom_completion", False)
            and not getattr(block, "has_score", False)
            and not block.has_children
        )

    def blocks_to_mark_complete_on_view(self, blocks: Iterable[XBlock]) -> set[XBlock]:
        """Those of them that are complete once seen, and are not yet."""
        seen = [block for block in blocks if self.can_mark_block_complete_on_view(block)]
        candidates = {block.scope_ids.usage_id: block for block in seen}
        completions = self.get_completions(candidates)
        return {block for key, block in candidates.items() if completions[key] < 1.0}
