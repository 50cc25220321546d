"""Learners as people name them."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model

from fieldstone.jobs.errors import JobRefusedError


def learner_ids(names: Iterable[str]) -> list[int]:
    """The ids of accounts named by username, or by id as text; of an account that is gone the id alone is left.

    Raises ``JobRefusedError`` for a username that there is not.
    """
    users, found = get_user_model(), []
    for name in names:
        user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
        if user is None and not name.isdecimal():
            raise JobRefusedError(f"There is no account {name!r}.")
        found.append(int(name) if user is None else user.pk)
    return found
