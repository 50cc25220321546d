"""Settings that a course hands down its tree, as Open edX does: set on a chapter, they hold for all below it.

Open edX mixes these fields into every block, and its published blocks count on them.
"""

from __future__ import annotations

from xblock.fields import Boolean, Date, Integer, Scope, String, Timedelta

from fieldstone.runtime.platform_names import PlatformNames


class InheritedSettings(PlatformNames):
    """Mixed into every block; ``AuthoredFieldData`` finds what a block does not set itself."""

    graded = Boolean(scope=Scope.settings, default=False, help="Whether the block counts towards the grade.")
    format = String(scope=Scope.settings, default=None, help="The kind of assignment in the grading policy.")
    start = Date(scope=Scope.settings, default=None, help="When the block opens.")
    due = Date(scope=Scope.settings, default=None, help="When the block closes.")
    graceperiod = Timedelta(scope=Scope.settings, default=None, help="How long after the due date it stays open.")
    showanswer = String(scope=Scope.settings, default="finished", help="When the answer is shown.")
    show_correctness = String(scope=Scope.settings, default="always", help="When the result is shown.")
    show_reset_button = Boolean(scope=Scope.settings, default=False, help="Whether an answer can be reset.")
    rerandomize = String(scope=Scope.settings, default="never", help="When the random seed changes.")
    max_attempts = Integer(scope=Scope.settings, default=None, help="How often one may answer; no limit if none.")


INHERITED = frozenset(InheritedSettings.fields)
