"""The blocks that hold a course together, and the one that stands in for a block that cannot be loaded."""

from __future__ import annotations

from typing import Any

from web_fragments.fragment import Fragment
from xblock.completable import XBlockCompletionMode
from xblock.core import XBlock
from xblock.fields import Scope, String


class BlockUnavailableError(Exception):
    """The block cannot be shown; the message says why."""


class StructureBlock(XBlock):  # type: ignore[misc]  # xblock publishes no types
    """A course, chapter, sequential or vertical: a title and children."""

    has_children = True
    completion_mode = XBlockCompletionMode.AGGREGATOR
    display_name = String(scope=Scope.settings, default=None)

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        """The children, one below the other."""
        return self.one_below_the_other(self.get_children(), "student_view", context)

    def author_view(self, context: dict[str, Any] | None = None) -> Fragment:
        """All children, also where each learner is shown some."""
        return self.one_below_the_other(self.get_children(), "author_view", context)

    def one_below_the_other(
        self, blocks: list[XBlock], view_name: str, context: dict[str, Any] | None
    ) -> Fragment:
        fragment = Fragment()
        for block in blocks:
            view = view_name if hasattr(block, view_name) else "student_view"
            rendered = self.runtime.render_child(block, view, context)
            fragment.add_content(rendered.content)
            fragment.add_fragment_resources(rendered)
        return fragment


class PlatformContainer(StructureBlock):
    """A container whose choice of children is a part of Open edX's platform that is not here.

    To show all would show learners what they should not see, so they see a card; authors see all.
    """

    missing = ""

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        raise BlockUnavailableError(
            f"<{self.scope_ids.block_type}> shows each learner some of its blocks, {self.missing}. "
            "That is not to be had here, so none is shown."
        )


class SplitTest(PlatformContainer):
    missing = "by the group of an experiment that the learner is in"


class Conditional(PlatformContainer):
    missing = "by what the learner has done in other blocks"


class UnavailableBlock(XBlock):  # type: ignore[misc]  # xblock publishes no types
    """Stands where a block could not be loaded; its view raises, so the runtime shows why in its place."""

    reason = ""  # the runtime sets it

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        raise BlockUnavailableError(self.reason)


PLAIN = ("course", "library", "chapter", "sequential", "problemset", "videosequence", "vertical", "wrapper")

STRUCTURE: dict[str, type[StructureBlock]] = {
    **dict.fromkeys(PLAIN, StructureBlock),
    "split_test": SplitTest,
    "conditional": Conditional,
}
"""Block type to class. Plain containers: what Open edX's own add to these belongs to its platform."""
