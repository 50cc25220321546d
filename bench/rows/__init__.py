"""The rows of the table that compare times; each module adds its own, in the order in which they are shown."""

# isort: off
from bench.rows import prefetching, getting, saving, history, scanning, writers  # noqa: F401
from bench.rows.base import ROWS, MismatchError, Pair, Row
# isort: on

__all__ = ["ROWS", "MismatchError", "Pair", "Row"]
