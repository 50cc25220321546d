"""What the suite knows of a published block: what a learner does there, what that calls, stores and needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from playwright.sync_api import Locator

from tests.browser.exercises import Exercise
from tests.browser.visitor import Visitor

COURSE = "Fieldstone+Blocks+2026"
COMPLETION = "runtime.completion"
"""What the runtime stores of a block that says how far it is completed, or that is graded."""
NOTHING: Mapping[str, str] = MappingProxyType({})


class BlockExercise(Exercise):
    """One published block on a unit of its own in ``course/vertical``; what it says of the block is checked.

    ``answer``, ``assert_answered`` and ``assert_untouched`` are as in ``tests.browser.exercises``, whose classes
    can stand beside this one as a second base.
    """

    handlers: frozenset[str] = frozenset()
    """The handlers that the page posts to from the first sight until the answer is there: ``name``, or
    ``name/suffix`` where one name stands for many (``xmodule_handler``). No more and no fewer."""

    stored: frozenset[str] = frozenset()
    """The fields that are stored of the learner after the answer, as ``block type.field``, and ``COMPLETION``;
    with ``user_state_summary`` those that all learners share. No more and no fewer."""

    renders: bool = True
    """Is the block shown, and no card that says why it is not?"""

    needs: str = ""
    """What the block wants beside its package and the services that it names itself; Markdown, one sentence."""

    remark: str = ""
    """What does not work, and why; Markdown, one sentence."""

    excused: Mapping[str, str] = NOTHING
    """Errors in the console that are the block's own: a regular expression of the trouble, and the reason."""

    notices: Mapping[str, str] = NOTHING
    """The same for notices at the foot of the page."""

    def before(self, visitor: Visitor) -> None:
        """Called once, before the unit is opened: for what the browser or another server must have ready."""


class Shown(BlockExercise):
    """A block with nothing to answer: it is shown, to everybody alike."""

    def assert_shown(self, card: Locator) -> None:
        raise NotImplementedError

    def answer(self, visitor: Visitor, card: Locator) -> None:
        """Nothing can be done."""

    def assert_answered(self, card: Locator) -> None:
        self.assert_shown(card)

    def assert_untouched(self, card: Locator) -> None:
        self.assert_shown(card)
