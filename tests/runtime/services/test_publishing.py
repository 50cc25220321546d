"""What published events mean."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from xblock.completable import CompletableXBlockMixin, XBlockCompletionMode
from xblock.core import XBlock
from xblock.fields import ScopeIds

from fieldstone.runtime.services import InvalidEventError, Published, is_higher, published
from fieldstone.store import Grade

NO_GRADE = Grade(None, None)


class Plain(XBlock):
    pass


class OfItsOwn(CompletableXBlockMixin, XBlock):
    pass


class Container(XBlock):
    completion_mode = XBlockCompletionMode.AGGREGATOR


class Left(XBlock):
    completion_mode = XBlockCompletionMode.EXCLUDED


def meaning(cls, event_type, event):
    block = cls(None, scope_ids=ScopeIds(7, cls.__name__.lower(), "d", "block-v1:the-usage"))
    return published(block, event_type, event, 7)


@pytest.mark.parametrize(
    ("cls", "event_type", "event", "expected"),
    [
        (Plain, "grade", {"value": 1, "max_value": 2}, Published(Grade(1.0, 2.0), False, 1.0)),
        (Plain, "grade", {"value": 3, "max_value": 2}, Published(Grade(3.0, 2.0), False, 1.0)),
        (Plain, "grade", {"value": -1, "max_value": 2}, Published(Grade(-1.0, 2.0), False, 1.0)),
        (Plain, "grade", {"value": 0, "max_value": 0}, Published(Grade(0.0, 0.0), False, 1.0)),
        (
            OfItsOwn,
            "grade",
            {"value": 0.5, "max_value": 1.0, "only_if_higher": True, "user_id": 7},
            Published(Grade(0.5, 1.0), True, None),
        ),
        (Container, "grade", {"value": 1, "max_value": 2}, Published(Grade(1.0, 2.0))),
        (
            Plain,
            "grade",
            {"value": 1, "max_value": 2, "only_if_higher": None, "grader_response": True},
            Published(Grade(1.0, 2.0)),
        ),
        (
            Plain,
            "grade",
            {"value": None, "score_deleted": True},
            Published(NO_GRADE, False, 0.0),
        ),
        (OfItsOwn, "completion", {"completion": 0.25}, Published(completion=0.25)),
        (Plain, "completion", {"completion": 1, "user_id": None}, Published(completion=1.0)),
        (Plain, "progress", {}, Published(completion=1.0)),
        (OfItsOwn, "progress", {}, Published()),
        (Left, "progress", {}, Published()),
        (Plain, "edx.done.toggled", {"done": True}, Published()),
        (Plain, "anything", None, Published()),
    ],
)
def test_an_event_means(cls, event_type, event, expected):
    assert meaning(cls, event_type, event) == expected


@pytest.mark.parametrize(
    ("cls", "event_type", "event", "word"),
    [
        (Plain, "grade", {"max_value": 2}, "'value'"),
        (Plain, "grade", {"value": 2}, "'max_value'"),
        (Plain, "grade", {"value": None, "max_value": None}, "'value'"),
        (Plain, "grade", {"value": "1", "max_value": 2}, "str"),
        (Plain, "grade", {"value": True, "max_value": 2}, "bool"),
        (Plain, "grade", {"value": Decimal(1), "max_value": 2}, "Decimal"),
        (Plain, "grade", {"value": math.nan, "max_value": 2}, "finite"),
        (Plain, "grade", {"value": 1, "max_value": math.inf}, "finite"),
        (Plain, "grade", {"value": 1, "max_value": -1}, "0 or more"),
        (Plain, "grade", [1, 2], "list"),
        (Plain, "grade", {"value": 1, "max_value": 2, "user_id": 8}, "rebind_user"),
        (Plain, "completion", {"completion": 1.01}, "0.0 to 1.0"),
        (Plain, "completion", {"completion": -0.01}, "0.0 to 1.0"),
        (Plain, "completion", {"completion": math.nan}, "finite"),
        (Plain, "completion", {"completion": "1.0"}, "str"),
        (Plain, "completion", {}, "'completion'"),
        (Container, "completion", {"completion": 1.0}, "aggregator"),
        (Left, "completion", {"completion": 1.0}, "excluded"),
        (Plain, "progress", None, "dict"),
    ],
)
def test_an_event_that_cannot_be_stored_is_refused_by_name(cls, event_type, event, word):
    with pytest.raises(InvalidEventError, match=rf"block-v1:the-usage published a {event_type} .*{word}"):
        meaning(cls, event_type, event)


@pytest.mark.parametrize(
    ("new", "stored", "higher"),
    [
        (Grade(1, 2), NO_GRADE, True),
        (Grade(0, 2), NO_GRADE, True),
        (Grade(1, 2), Grade(1, 2), False),
        (Grade(2, 4), Grade(1, 2), False),
        (Grade(3, 10), Grade(1, 2), False),
        (Grade(2, 3), Grade(1, 2), True),
        (NO_GRADE, Grade(0, 2), False),
        (Grade(0, 0), Grade(0, 2), False),
    ],
)
def test_a_grade_is_higher_by_its_share(new, stored, higher):
    assert is_higher(new, stored) is higher
