"""The part of a store that somebody names: keys as they were typed, to the ids of what is stored."""

from __future__ import annotations

from django.db import connections

from fieldstone.errors import InvalidPlaceError, NothingStoredError
from fieldstone.store.columns import context_key_of, usage_key_of
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.walk import Part
from fieldstone.store.places import key_text
from fieldstone.store.routing import home_for_writing
from fieldstone.store.tables import CONTEXT, USAGE


def part_of(
    using: str | None, *, learner_id: int | None = None, context: str | None = None, usage: str | None = None
) -> Part:
    """The part of the store that has these in common, keys given as text; all of it if none is given.

    An old usage key, which does not say its run, is mapped into the context.

    Raises ``NothingStoredError`` for a context or usage that the store never met, ``InvalidPlaceError`` for an old
    usage key without a context or a run behind it.
    """
    alias = home_for_writing(using).states
    if usage is not None:
        usage = _usage_text(usage, context)
    return Part(learner_id, _id_of(alias, CONTEXT, context), _id_of(alias, USAGE, usage))


def _usage_text(usage: str, context: str | None) -> str:
    """The text under which a usage is stored that somebody typed."""
    try:
        key = usage_key_of(usage, None if context is None else context_key_of(context))
    except InvalidPlaceError:  # no key at all: nothing is stored of it, which will be said
        return usage
    try:
        return key_text(key)
    except InvalidPlaceError as error:
        if not key.deprecated:
            raise
        raise InvalidPlaceError(
            f"The usage key {usage} does not say of which run it is: name its course beside it, or put the run"
            f" behind it, {usage}#2014_T1."
        ) from error


def _id_of(alias: str, table: str, key: str | None) -> int | None:
    if key is None:
        return None
    with connections[alias].cursor() as cursor:
        ids = engine_of(connections[alias]).select_ids(cursor, table, [key])
    if key not in ids:
        raise NothingStoredError(key, alias)
    return ids[key]
