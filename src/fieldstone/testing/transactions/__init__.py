"""Transactions in tests: expected errors, swallowed errors, and callbacks that wait for a commit."""

from fieldstone.testing.transactions.broken import BrokenTransaction, explain_broken_transactions
from fieldstone.testing.transactions.callbacks import commit_callbacks
from fieldstone.testing.transactions.expected import (
    Caught,
    NothingRaised,
    OtherConstraint,
    ViolatedBefore,
    expect_db_error,
)
from fieldstone.testing.transactions.registered import Callback, CommitCallbacks
from fieldstone.testing.transactions.violations import Violation

__all__ = [
    "BrokenTransaction",
    "Callback",
    "Caught",
    "CommitCallbacks",
    "NothingRaised",
    "OtherConstraint",
    "ViolatedBefore",
    "Violation",
    "commit_callbacks",
    "expect_db_error",
    "explain_broken_transactions",
]
