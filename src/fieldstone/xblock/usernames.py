"""Users by name, on the database that Django's routers say; it need not be that of their state.

Found by the base manager: a project's own may hide users, whose state is there all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.contrib.auth import get_user_model

_IDS_A_QUERY = 500  # from 1,000 on MariaDB would read the whole table of users for them


def find_user(username: str) -> int | None:
    """The id of a user, in one query; ``None`` if there is none of that name."""
    model = get_user_model()
    ids = model._base_manager.filter(**{model.USERNAME_FIELD: username}).values_list("pk", flat=True)
    return next(iter(ids), None)


def usernames(ids: Iterable[int]) -> dict[int, str]:
    """The names of those of these users who still have an account."""
    model, waiting, names = get_user_model(), iter(sorted(ids)), dict[int, str]()
    while some := list(islice(waiting, _IDS_A_QUERY)):
        names.update(model._base_manager.filter(pk__in=some).values_list("pk", model.USERNAME_FIELD))
    return names
