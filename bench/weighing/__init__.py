"""What is weighed and not timed; each module adds its own."""

from bench.weighing import history, memory, rows  # noqa: F401  # they add their amounts
from bench.weighing.base import AMOUNTS, Amount

__all__ = ["AMOUNTS", "Amount"]
