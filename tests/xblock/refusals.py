"""What one learner's field storage refuses of another's: checks that need no ``assert``.

The tests call them on every engine; run as a script they check a fresh SQLite database, which works under
``python -O`` as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import django
from django.core.exceptions import PermissionDenied
from xblock.runtime import KeyValueStore


def calls_with(store: Any, key: KeyValueStore.Key) -> Iterable[tuple[str, Callable[[], Any]]]:
    """The calls of a key-value store, or of a field data cache, with a key."""
    yield "get", lambda: store.get(key)
    yield "has", lambda: store.has(key)
    yield "delete", lambda: store.delete(key)
    yield "set_many", lambda: store.set_many({key: "overwritten"})
    if hasattr(store, "set"):
        yield "set", lambda: store.set(key, "overwritten")
    if hasattr(store, "last_modified"):
        yield "last_modified", lambda: store.last_modified(key)


class NotRefusedError(Exception):
    """A call with another learner's key was answered, or failed in another way."""


def check_refused(store: Any, key: KeyValueStore.Key) -> list[str]:
    """Every call with the key raises what both older and newer callers catch; the calls that were made."""
    made = []
    for name, call in calls_with(store, key):
        try:
            answer = call()
        except Exception as error:
            if not (isinstance(error, PermissionDenied) and isinstance(error, AssertionError)):
                raise NotRefusedError(f"{name} of {key} raised {error!r}") from error
        else:
            raise NotRefusedError(f"{name} of {key} gave {answer!r}")
        made.append(name)
    return made


def check_whole(user: Any, another: Any, alias: str) -> int:
    """One learner's page asks for all fields of another's; the number of calls that were refused."""
    # Here, since models can be imported only once Django is set up.
    from tests.xblock.blocks import FIELDS, PERSONAL_SCOPES, VALUES, Page, key_of, keyed, stored

    theirs = Page(another, alias)
    theirs.kvs.set_many(keyed(theirs.add(), VALUES[0]))
    page = Page(user, alias)
    block = page.add()
    refused = 0
    for scope in PERSONAL_SCOPES:
        for name in (*FIELDS[scope], "never stored"):
            key = key_of(block, FIELDS[scope][0], user_id=another.pk, field_name=name)
            refused += len(check_refused(page.kvs, key)) + len(check_refused(page.cache, key))
            mixed = {key: "overwritten", key_of(block, "tally"): "overwritten"}
            try:
                page.kvs.set_many(mixed)
            except PermissionDenied:
                refused += 1
            else:
                raise NotRefusedError(f"a save that {key} was among")
    if stored(another, alias) != VALUES[0]:
        raise NotRefusedError(f"the fields of {another} are now {stored(another, alias)}")
    of_summary = {name: VALUES[0][name] for name in ("tally", "votes")}
    if stored(user, alias) != of_summary:
        raise NotRefusedError(f"the fields of {user} are now {stored(user, alias)}")
    return refused


def main(database: str) -> None:
    """Check a new SQLite database; prints the number of calls that were refused."""
    if __debug__:
        raise SystemExit("This is to be run with `python -O`.")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    from django.conf import settings

    from tests.conftest import STORE_APPS

    settings.DATABASES = {"default": {**settings.DATABASES["default"], "NAME": Path(database)}}
    settings.INSTALLED_APPS = STORE_APPS
    settings.MIGRATION_MODULES = {name.rpartition(".")[2]: None for name in STORE_APPS} | {
        "fieldstone_store": None
    }
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    ada, bob = (get_user_model().objects.create_user(name) for name in ("ada", "bob"))
    print(check_whole(ada, bob, "default"))


if __name__ == "__main__":
    main(sys.argv[1])
