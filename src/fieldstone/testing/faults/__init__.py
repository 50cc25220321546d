"""Faults on a real connection: fail, wait, cut it, or kill the server, at the n-th statement that matches.

``with cut_at("COMMIT", when="after"):``. A point that is never reached is a failure by itself, so that a test of a
fault does not go on passing once the code asks the database otherwise.
"""

from fieldstone.testing.faults.calls import at_statement, delay_at, fail_at
from fieldstone.testing.faults.cutting import cut_at
from fieldstone.testing.faults.killing import kill_server_at
from fieldstone.testing.faults.points import AtStatement, FaultNotPossible, Point, PointNotReached
from fieldstone.testing.faults.processes import kill, kill_self
from fieldstone.testing.faults.servers import server_pid

__all__ = [
    "AtStatement",
    "FaultNotPossible",
    "Point",
    "PointNotReached",
    "at_statement",
    "cut_at",
    "delay_at",
    "fail_at",
    "kill",
    "kill_self",
    "kill_server_at",
    "server_pid",
]
