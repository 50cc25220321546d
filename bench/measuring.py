"""Timing two callables against each other so that the machine's moods fall on both."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median, quantiles
from time import perf_counter

Work = Callable[[], object]

SAMPLE_SECONDS = 0.001
"""A sample repeats its work until the faster side takes about this long: the clock and the caches weigh less."""

WARM_UP_SECONDS = 1.0
RESAMPLES = 400
MOST_ROUNDS = 600


@dataclass(frozen=True)
class Budget:
    """When to stop: after ``rounds`` if given, else after ``seconds`` and a few rounds at least."""

    seconds: float = 2.0
    rounds: int | None = None
    least_rounds: int = 15

    def spent(self, rounds: int, seconds: float) -> bool:
        if self.rounds is not None:
            return rounds >= self.rounds
        return rounds >= MOST_ROUNDS or (seconds >= self.seconds and rounds >= self.least_rounds)


@dataclass(frozen=True)
class Quartiles:
    """Seconds a call."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Quartiles:
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        return cls(*quantiles(samples, n=4, method="inclusive"))


@dataclass(frozen=True)
class Comparison:
    """Seconds a call of both sides; samples of the same index come from the same round."""

    ours: Sequence[float]
    floor: Sequence[float]
    calls_per_sample: int = 1

    @property
    def ratio(self) -> float:
        """Of the medians; below 1 we are faster."""
        return median(self.ours) / median(self.floor)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Where the ratio lies in 95% of bootstrap resamples; whole rounds are drawn, for they share a mood."""
        rng = random.Random(0)
        rounds = range(len(self.ours))
        ratios = []
        for _ in range(RESAMPLES):
            drawn = rng.choices(rounds, k=len(rounds))
            ratios.append(median(self.ours[i] for i in drawn) / median(self.floor[i] for i in drawn))
        ratios.sort()
        cut = RESAMPLES // 40
        return ratios[cut], ratios[-1 - cut]


def compare(ours: Work, floor: Work, budget: Budget, rng: random.Random | None = None) -> Comparison:
    """Time both in turns, in random order within each round, until the budget is spent."""
    rng = rng or random.Random()
    calls = _calls_per_sample(ours, floor)
    samples: dict[Work, list[float]] = {ours: [], floor: []}
    order = [ours, floor]
    gc.freeze()  # what set-up made is not looked at again in either side's collections
    began = perf_counter()
    try:
        while not budget.spent(len(samples[ours]), perf_counter() - began):
            rng.shuffle(order)
            for work in order:
                gc.collect()  # each side pays for its own garbage only
                samples[work].append(timed(work, calls))
    finally:
        gc.unfreeze()
    return Comparison(samples[ours], samples[floor], calls)


def sampled(work: Work, budget: Budget) -> list[float]:
    """Seconds of each call, until the budget is spent."""
    work()
    samples: list[float] = []
    began = perf_counter()
    while not budget.spent(len(samples), perf_counter() - began):
        gc.collect()
        samples.append(timed(work))
    return samples


def timed(work: Work, calls: int = 1) -> float:
    """Seconds a call."""
    began = perf_counter()
    for _ in range(calls):
        work()
    return (perf_counter() - began) / calls


def _calls_per_sample(ours: Work, floor: Work) -> int:
    """Warms both sides up, equally often: what they store stays the same. Long work is warm after a call."""
    calls: list[float] = []
    while len(calls) < 10 and sum(calls) < WARM_UP_SECONDS:
        calls += timed(ours), timed(floor)
    return max(1, round(SAMPLE_SECONDS / min(calls)))
