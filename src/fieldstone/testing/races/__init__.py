"""The race harness: what steps of a program do when they run at once, on a real database."""

from fieldstone.testing.races.race import race
from fieldstone.testing.races.report import (
    Finding,
    Interleaving,
    LockWait,
    Outcome,
    RaceError,
    RaceFound,
    RaceReport,
    Step,
)

__all__ = [
    "Finding",
    "Interleaving",
    "LockWait",
    "Outcome",
    "RaceError",
    "RaceFound",
    "RaceReport",
    "Step",
    "race",
]
