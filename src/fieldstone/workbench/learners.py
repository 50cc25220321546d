"""The learners of the workbench: accounts that it made, without passwords, one of them the session's own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from fieldstone.runtime.wiring import claim_state
from fieldstone.runtime.wiring.errors import StateClaimedError

BACKEND = "django.contrib.auth.backends.ModelBackend"


class NameTakenError(Exception):
    """An account has this name already."""


@dataclass(frozen=True)
class Learner:
    """A learner as the switcher shows it."""

    id: int
    username: str
    last_seen: datetime | None
    current: bool

    @property
    def initials(self) -> str:
        return self.username[:2].upper()


def _accounts() -> Any:
    # Only accounts that nobody can sign in to with a password, and none with rights: switching must not be a way
    # into somebody's real account.
    return get_user_model()._default_manager.filter(
        is_active=True, is_staff=False, is_superuser=False, password__startswith=UNUSABLE_PASSWORD_PREFIX
    )


def all_learners(request: HttpRequest) -> list[Learner]:
    """The learners that the switcher offers, last seen first."""
    accounts = _accounts().order_by("-last_login", "username")
    return [
        Learner(account.pk, account.get_username(), account.last_login, account.pk == request.user.pk)
        for account in accounts
    ]


def create(request: HttpRequest, name: str) -> None:
    """Make a learner and become it, with all that the session's visitor did. Raises ``NameTakenError``.

    When that fails there is no learner, and the visitor is as before.
    """
    with transaction.atomic():
        user = _created(name)
        if not request.user.is_authenticated:  # what the visitor before an earlier learner did is not this one's
            with suppress(StateClaimedError):  # by another form of this session: that learner has it, then
                claim_state(request.session, user)
    login(request, user, BACKEND)  # last: it deletes the session by which the visitor is known


def _created(name: str) -> Any:
    manager: Any = get_user_model()._default_manager
    if manager.filter(**{f"{get_user_model().USERNAME_FIELD}__iexact": name}).exists():
        raise NameTakenError
    try:
        with transaction.atomic():
            return manager.create_user(name)
    except IntegrityError as error:  # made meanwhile
        raise NameTakenError from error


def switch(request: HttpRequest, learner_id: int) -> bool:
    """Become another learner; ``False`` when there is none of this id that may be switched to."""
    account = _accounts().filter(pk=learner_id).first()
    if account is None:
        return False
    login(request, account, BACKEND)
    return True
