"""The clock of tests, built on time-machine: Python's time and the databases' stand, run and move together."""

from fieldstone.testing.clock.backdating import backdate
from fieldstone.testing.clock.clock import Clock, frozen, ticking
from fieldstone.testing.clock.moments import Moment

__all__ = ["Clock", "Moment", "backdate", "frozen", "ticking"]
