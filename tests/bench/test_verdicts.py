"""What is called met, what is not, and what stops a run."""

from __future__ import annotations

import pytest

from bench.measuring import Comparison
from bench.results import verdict_on
from bench.rows.base import MismatchError, Pair
from bench.rows.writers import LostFieldsError, check_fields
from bench.weighing import Amount


def test_a_limit_inside_the_interval_is_neither_met_nor_missed():
    steady = Comparison(ours=[2.0, 2.0, 2.0], floor=[1.0, 1.0, 1.0])
    assert verdict_on(steady, 2.0) == "met"
    assert verdict_on(steady, 1.9) == "not yet"
    noisy = Comparison(ours=[1.0, 2.0, 3.0] * 5, floor=[1.0] * 15)
    assert verdict_on(noisy, 2.0) == "too close to say"


@pytest.mark.parametrize(("limit", "verdict"), [(120, "met"), (119, "not yet"), (None, "")])
def test_an_amount_is_met_up_to_its_limit(limit, verdict):
    assert Amount("name", "title", "sqlite", 120, "bytes", limit, "note").verdict == verdict


def test_sides_that_hold_different_data_are_not_compared():
    with pytest.raises(MismatchError):
        Pair(int, int, lambda: {"attempts": 1}, lambda: {"attempts": 2}).check()


def test_a_lost_field_is_counted():
    with pytest.raises(LostFieldsError, match="ours: 1 of 2 saved fields are lost"):
        check_fields("ours", {"a": 1}, {"a": 1, "b": 1})
