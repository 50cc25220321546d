"""The same work in a table of millions of states and in one of ten thousand; on PostgreSQL."""

from bench.scale.measure import NAME, STATES, Scale, measure
from bench.scale.plans import Plan, WholeTableError, check

__all__ = ["NAME", "STATES", "Plan", "Scale", "WholeTableError", "check", "measure"]
