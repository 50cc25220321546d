"""What the events that blocks publish mean: a grade, a completion, both, or nothing that is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

from xblock.completable import XBlockCompletionMode
from xblock.core import XBlock

from fieldstone.errors import FieldstoneError
from fieldstone.store import Grade
from fieldstone.store.states import NO_GRADE


class InvalidEventError(FieldstoneError, ValueError):
    """A block published what cannot be stored; nothing was written of it. ``event_type`` says of what."""

    def __init__(self, block: XBlock, event_type: str, reason: str) -> None:
        self.event_type = event_type
        super().__init__(f"The block {block.scope_ids.usage_id} published a {event_type} that cannot be: {reason}")


class Published(NamedTuple):
    """What is to be stored of an event."""

    grade: Grade | None = None
    """``NO_GRADE`` takes the learner's grade away; ``None`` leaves it."""

    only_if_higher: bool = False
    """Whether the grade counts only if it is higher, as a share of the maximum, than the one that is stored."""

    completion: float | None = None
    """0.0 to 1.0; ``None`` leaves it."""


NOTHING = Published()


def published(block: XBlock, event_type: str, event: Any, learner_id: Any) -> Published:
    """What an event means; ``NOTHING`` for those that are only logged.

    ``grade``: ``{"value": 1, "max_value": 2}`` as XBlock has it, and of Open edX's keys ``only_if_higher``,
    ``score_deleted`` and ``grader_response``. ``completion``: ``{"completion": 0.5}``. ``progress``, of before
    there were completions, means a completed block. With a grade, too, a block is complete that has no completion
    of its own, except by an external grader's answer: it was complete when it was handed in.

    Raises ``InvalidEventError``, also for an event that names another learner by ``user_id``.
    """
    reader = _READERS.get(event_type)
    if reader is None:
        return NOTHING
    if not isinstance(event, Mapping):
        raise InvalidEventError(block, event_type, f"a dict is wanted, not {type(event).__name__}.")
    if event.get("user_id") not in (None, learner_id):
        reason = "it names another learner than the one whom the block is for; use the service 'rebind_user'."
        raise InvalidEventError(block, event_type, reason)
    return reader(block, event)


def is_higher(grade: Grade, stored: Grade) -> bool:
    """Is it a higher share of its maximum than what is stored? Anything is higher than no grade."""
    return _share(grade) > _share(stored)


def _share(grade: Grade) -> float:
    if grade.value is None:
        return -math.inf
    return grade.value / grade.maximum if grade.maximum else 0.0


def _grade(block: XBlock, event: Mapping[str, Any]) -> Published:
    deleted = bool(event.get("score_deleted"))
    grade = NO_GRADE if deleted else Grade(_number(block, event, "value"), _number(block, event, "max_value"))
    if grade.maximum is not None and grade.maximum < 0:
        raise InvalidEventError(block, "grade", f"max_value is {grade.maximum}, and has to be 0 or more.")
    completion = None
    if not event.get("grader_response") and _completed_by_acting(block):
        completion = 0.0 if deleted else 1.0
    return Published(grade, bool(event.get("only_if_higher")), completion)


def _completion(block: XBlock, event: Mapping[str, Any]) -> Published:
    if not _is_completable(block):
        mode = XBlockCompletionMode.get_mode(block)
        raise InvalidEventError(block, "completion", f"its completion_mode is {mode!r}, not 'completable'.")
    value = _number(block, event, "completion")
    if not 0.0 <= value <= 1.0:
        raise InvalidEventError(block, "completion", f"completion is {value}, and has to be 0.0 to 1.0.")
    return Published(completion=value)


def _progress(block: XBlock, event: Mapping[str, Any]) -> Published:
    return Published(completion=1.0) if _completed_by_acting(block) else NOTHING


def _is_completable(block: XBlock) -> bool:
    return bool(XBlockCompletionMode.get_mode(block) == XBlockCompletionMode.COMPLETABLE)


def _completed_by_acting(block: XBlock) -> bool:
    return _is_completable(block) and not getattr(block, "has_custom_completion", False)


def _number(block: XBlock, event: Mapping[str, Any], name: str) -> float:
    value = event.get(name)
    event_type = "completion" if name == "completion" else "grade"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidEventError(block, event_type, f"{name!r} has to be a number, not {type(value).__name__}.")
    if not math.isfinite(value):
        raise InvalidEventError(block, event_type, f"{name!r} has to be a finite number, not {value}.")
    return float(value)


_READERS = {"grade": _grade, "completion": _completion, "progress": _progress}
