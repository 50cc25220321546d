"""Settings that a course hands down its tree, as Open edX does: set on a chapter, they hold for all below it.

Open edX mixes these fields into every block, and its published blocks count on them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

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


def setting(name: str, value: Any) -> Any:
    """A setting out of an attribute or a policy, as its field's JSON form.

    Attributes are JSON, as Open edX writes them, but texts, dates and times stand there as they are as well:
    ``format="2024"`` is a text. Raises ``ValueError`` when it is nothing that the field can read.
    """
    field = InheritedSettings.fields[name]
    is_text = isinstance(field, String | Date | Timedelta)
    if isinstance(value, str) and (not is_text or value == "null" or value.startswith('"')):
        with suppress(ValueError):  # no JSON: it is taken as it is
            value = json.loads(value)
    if isinstance(field, String) and isinstance(value, int | float):
        value = json.dumps(value)
    try:
        field.from_json(value)
    except Exception as error:  # a date out of range is an OverflowError, and so on
        raise ValueError(f"{name}={value!r} cannot be read ({error})") from error
    return value
