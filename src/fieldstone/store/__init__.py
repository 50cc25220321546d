"""The store: fields of places, for learners."""

from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.store.scan import Scanned
from fieldstone.store.scan_fields import ScannedFields, ScannedSummary
from fieldstone.store.states import NO_GRADE, Grade, Receipt, Revision, State, States
from fieldstone.store.store import Store
from fieldstone.values import DELETED, MISSING

__all__ = [
    "DELETED",
    "MISSING",
    "NO_GRADE",
    "Grade",
    "Place",
    "Preferences",
    "Receipt",
    "Revision",
    "Scanned",
    "ScannedFields",
    "ScannedSummary",
    "State",
    "States",
    "Store",
    "Summary",
    "UserInfo",
]
