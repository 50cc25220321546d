"""What ``DjangoXBlockUserStateClient`` gives, and what it raises."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db import OperationalError
from xblock.exceptions import InvalidScopeError
from xblock.fields import Scope

from fieldstone.errors import FieldstoneError


class XBlockUserState(NamedTuple):
    """What is stored of one user at one block, or at what else ``scope`` is of."""

    username: str | None  # None: a summary is nobody's, or the user's account is gone
    block_key: Any  # a usage key; of preferences a block type, of user_info None
    state: dict[str, Any] | None  # names to values; None in a history: after this save nothing was stored
    updated: datetime  # aware, UTC: since then none of these fields was changed
    scope: Scope

    def __repr__(self) -> str:
        return f"{type(self).__name__}{tuple(self)!r}"


class NothingThereError(FieldstoneError, LookupError):
    """Nothing is stored of what was asked for."""

    def __init__(self, username: str, block_key: Any, scope: Scope) -> None:
        super().__init__(f"Nothing is stored of {username!r} at {block_key} in {scope.name}.")
        self.username = username
        self.block_key = block_key
        self.scope = scope


class UnavailableError(FieldstoneError, OperationalError):
    """The database does not serve. An ``OperationalError`` too: older callers catch the database's errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"The database of learner state does not serve ({error}). Try again later.")


class UnsupportedScopeError(FieldstoneError, InvalidScopeError, ValueError):  # type: ignore[misc]  # no types
    """A call that there is not in this scope."""

    def __init__(self, scope: Any, reason: str) -> None:
        self.scope = scope
        self.message = f"{getattr(scope, 'name', scope)}: {reason}"  # where XBlock's own error has it
        Exception.__init__(self, self.message)
