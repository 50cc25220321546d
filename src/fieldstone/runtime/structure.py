"""The blocks that hold a course together, and the one that stands in for a block that cannot be loaded."""

from __future__ import annotations

from typing import Any

from web_fragments.fragment import Fragment
from xblock.core import XBlock
from xblock.fields import Scope, String


class BlockUnavailableError(Exception):
    """The block cannot be shown; the message says why."""


class StructureBlock(XBlock):  # type: ignore[misc]  # xblock publishes no types
    """A course, chapter, sequential or vertical: a title and children."""

    has_children = True
    display_name = String(scope=Scope.settings, default=None)

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        """The children, one below the other."""
        fragment = Fragment()
        for child in self.get_children():
            rendered = self.runtime.render_child(child, context=context)
            fragment.add_content(rendered.content)
            fragment.add_fragment_resources(rendered)
        return fragment


class UnavailableBlock(XBlock):  # type: ignore[misc]  # xblock publishes no types
    """Stands where a block could not be loaded; its view raises, so the runtime shows why in its place."""

    reason = ""

    @classmethod
    def because(cls, reason: str) -> type[UnavailableBlock]:
        return type("UnavailableBlock", (cls,), {"reason": reason})

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        raise BlockUnavailableError(self.reason)


STRUCTURE: dict[str, type[StructureBlock]] = dict.fromkeys(
    ("course", "chapter", "sequential", "vertical"), StructureBlock
)
"""Block type to class. Plain containers: what Open edX's own add to these belongs to its platform."""
