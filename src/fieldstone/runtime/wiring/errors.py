"""What goes wrong with whose state it is."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied

from fieldstone.errors import FieldstoneError


class NobodyError(FieldstoneError, PermissionDenied):
    """A field of a learner was asked for, or saved, where there is no learner."""

    def __init__(self) -> None:
        super().__init__(
            "There is no learner here whose field this could be. Give the runtime a user; a visitor without an "
            "account needs a session, and a visit in it (begin_visit). Nothing was saved."
        )


class StateClaimedError(FieldstoneError):
    """An account has taken the visitor's state over, or is about to. Nothing was saved.

    ``claimer`` is the account's primary key, as text.
    """

    def __init__(self, claimer: str) -> None:
        self.claimer = claimer
        super().__init__(
            "What this visitor did belongs to an account by now, and nothing more is kept for the visitor. "
            "Nothing was saved: load the page again."
        )
