"""The clock work of ``bench/``; the rows themselves are not run here."""

from __future__ import annotations

import random

import pytest

from bench.measuring import Budget, Comparison, Quartiles, compare, sampled


def noisy(seconds, rounds=60, seed=1):
    rng = random.Random(seed)
    return [seconds * rng.uniform(0.9, 1.3) for _ in range(rounds)]


def test_the_ratio_is_of_the_medians():
    """One slow sample on either side changes nothing."""
    assert Comparison(ours=[2.0, 2.0, 2.0, 90.0, 2.0], floor=[1.0, 1.0, 50.0, 1.0, 1.0]).ratio == 2.0


def test_the_interval_holds_the_ratio_and_tells_noise_from_difference():
    found = Comparison(ours=noisy(2.0), floor=noisy(1.0, seed=2))
    low, high = found.interval
    assert low <= found.ratio <= high
    assert 1.5 < low < high < 2.5


def test_more_rounds_narrow_the_interval():
    few = Comparison(noisy(1.0, 10), noisy(1.0, 10, seed=2)).interval
    many = Comparison(noisy(1.0, 600), noisy(1.0, 600, seed=2)).interval
    assert many[1] - many[0] < few[1] - few[0]


def test_moods_that_both_sides_share_leave_the_ratio_alone():
    """Whole rounds are resampled: a machine that slows down for both does not look like noise."""
    moods = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0]
    low, high = Comparison(ours=[3 * mood for mood in moods], floor=moods).interval
    assert low == pytest.approx(3)
    assert high == pytest.approx(3)


def test_the_interval_is_the_same_each_time():
    samples = noisy(1.0), noisy(1.0, seed=2)
    assert Comparison(*samples).interval == Comparison(*samples).interval


def test_both_sides_are_called_equally_often_and_in_changing_order():
    calls = []
    found = compare(lambda: calls.append("o"), lambda: calls.append("f"), Budget(rounds=40), random.Random(3))
    assert len(found.ours) == len(found.floor) == 40
    assert calls.count("o") == calls.count("f")
    warm_up = 10
    firsts = {calls[warm_up + n * 2 * found.calls_per_sample] for n in range(40)}
    assert firsts == {"o", "f"}


def test_a_budget_of_rounds_ignores_the_time():
    assert not Budget(seconds=1, rounds=10).spent(9, seconds=99)
    assert Budget(seconds=1, rounds=10).spent(10, seconds=0)


def test_a_budget_of_seconds_asks_for_a_few_rounds_all_the_same():
    assert not Budget(seconds=1, least_rounds=5).spent(4, seconds=99)
    assert Budget(seconds=1, least_rounds=5).spent(5, seconds=1)
    assert not Budget(seconds=1, least_rounds=5).spent(100, seconds=0.5)


def test_quartiles():
    assert Quartiles.of([1, 2, 3, 4, 5]) == Quartiles(2, 3, 4)
    assert Quartiles.of([7]) == Quartiles(7, 7, 7)


def test_sampling_warms_up_first():
    calls = []
    assert len(sampled(lambda: calls.append(1), Budget(rounds=3))) == 3
    assert len(calls) == 4
