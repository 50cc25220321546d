"""Actors that ask the database nothing: a race of them would find nothing, whatever they do."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable

from fieldstone.testing.races.actors import Actor
from fieldstone.testing.races.report import RaceError


def check_awaited(actors: Iterable[Actor]) -> None:
    """Raises ``RaceError`` if one has given back what somebody would have to await."""
    for actor in actors:
        value = actor.value
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()  # or Python would warn that it was never awaited
            raise RaceError(_NOT_AWAITED.format(letter=actor.letter, name=actor.name, kind=type(value).__name__))


def check_asked(actors: Iterable[Actor], aliases: Collection[str]) -> None:
    """After each had the database to itself: raises ``RaceError`` if one never came to a statement."""
    silent = [actor for actor in actors if not actor.has_asked]
    if not silent:
        return
    who = " and ".join(f"{actor.letter} ({actor.name})" for actor in silent)
    using = " or ".join(map(repr, aliases))
    elsewhere = sorted(set().union(*(actor.elsewhere for actor in silent)))
    told = f"\n  (Here they were connected to {', '.join(map(repr, elsewhere))}.)" if elsewhere else ""
    raise RaceError(_SILENT.format(who=who, using=using, told=told))


_NOT_AWAITED = """\
{letter} ({name}) returned a {kind} that nobody awaits, so what it was to do was not done.

  Give the coroutine function itself:  race(increment, increment), not race(lambda: increment(), ...)
  With arguments:                      functools.partial(increment, name="hits"), or an async def around it"""

_SILENT = """\
{who} asked nothing of {using} when run one after the other, so there is nothing to race.

  Another database?       Name it: race(..., using="alias"), or several of them.{told}
  Threads of its own?     Those have connections of their own, which take no turns: let the step do itself what
                          they do, or give race() what each of them runs.
  A coroutine?            Give the coroutine function itself; a step must not leave it to a loop elsewhere.
  Nothing to do?          A step that finds nothing to do, or a mock in its way: create what it needs in setup=."""
