"""What is said of a point that was never reached: what came by instead, from where, and what to do."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from django.db import connections

from fieldstone.testing.faults.patterns import Pattern, folded
from fieldstone.testing.places import Place
from fieldstone.testing.statements import Statement
from fieldstone.testing.texts import aligned, engine, short_sql

WIDTH = 72
"""Characters of a statement that are shown."""
AT_EACH_END = 20
"""Statements that are shown of a long list, from its beginning and from its end."""


@dataclass(slots=True)
class Seen:
    """A statement that came by."""

    statement: Statement
    place: Place
    """In the project's code, or in its templates."""
    matches: bool
    error: Exception | None = None
    """It failed by itself, where the fault was to come after it."""


def not_reached(tool: str, pattern: Pattern, nth: int | None, using: str, seen: list[Seen]) -> str:
    """The message of ``PointNotReached``."""
    if not seen:
        advice = _of_begin(pattern, using) or _elsewhere(using)
        return f"{tool} was not reached: nothing was asked of {using!r} by this thread.\n\n{advice}"
    return "\n".join(
        [
            f"{tool} was not reached on {using!r}: {_reason(nth, seen)}",
            "",
            *_table(seen),
            "",
            _advice(pattern, using, seen),
        ]
    )


def _reason(nth: int | None, seen: list[Seen]) -> str:
    matching = [each for each in seen if each.matches]
    statements = "the only statement" if len(seen) == 1 else f"{len(seen)} statements"
    if not matching:
        return f"{statements} does not match." if len(seen) == 1 else f"none of {statements} matches."
    failed = [each for each in matching if each.error]
    if failed:
        return f"what matches has failed by itself, so nothing came after it: {_told(failed[-1].error)}"
    verb = "matches" if len(matching) == 1 else "match"
    return f"{len(matching)} of {statements} {verb}, and nth={nth}."


def _told(error: Exception | None) -> str:
    return f"{type(error).__name__}: {folded(str(error))}"


def _table(seen: list[Seen]) -> list[str]:
    left_out = max(len(seen) - 2 * AT_EACH_END, 0)
    rows = [
        (f"{'>' if each.matches else ' '} {number}", short(each.statement.sql), str(each.place))
        for number, each in enumerate(seen, 1)
    ]
    if left_out:
        rows[AT_EACH_END:-AT_EACH_END] = [("", f"({left_out} more)", "")]
    return aligned([("", "statement (> matches)", "place"), *rows], right=[0])


def short(sql: str) -> str:
    return short_sql(sql, WIDTH)


def _advice(pattern: Pattern, using: str, seen: list[Seen]) -> str:
    if any(each.matches for each in seen):
        return "Mend nth, or the code that was to ask this more often; nth=None is each statement that matches."
    of_begin = _of_begin(pattern, using)
    if of_begin:
        return of_begin
    said = [number for number, each in enumerate(seen, 1) if pattern.occurs_as_text(each.statement.sql)]
    if said:
        return (
            f"The text of the pattern is in statement {said[0]}, but it is read as a regular expression:"
            f" write it as {re.escape(pattern.text)!r}."
        )
    return (
        "Mend the pattern, or the code that was to come by. The pattern is a regular expression, searched in the"
        " SQL above\n(in its whole length), in any case, with or without the quotes around names."
    )


def _of_begin(pattern: Pattern, using: str) -> str:
    """What to do where a transaction's beginning was waited for, and Django does not send one."""
    asked = [each for each in ("BEGIN", "START TRANSACTION") if pattern.matches(each)]
    if not asked or connections[using].vendor == "sqlite":
        return ""
    return (
        f"{asked[0]} is never seen on {engine(connections[using])}: Django turns autocommit off instead, and the"
        " transaction begins\nwith its first statement. Take the pattern of that one."
    )


def _elsewhere(using: str) -> str:
    if _in_a_coroutine():
        return (
            "Around a coroutine's code write `async with`, not `with`: Django makes the calls of a coroutine in a"
            " thread of\ntheir own, and this looked at the connection of the event loop's thread."
        )
    others = ", ".join(repr(alias) for alias in connections if alias != using)
    hint = f" (there are {others} as well)" if others else ""
    return (
        f"If the code uses another database, name it with using=...{hint}. If it asks in a thread of its own,\n"
        "which has a connection of its own, put the tool inside what that thread runs."
    )


def _in_a_coroutine() -> bool:
    """Whether an event loop runs in this thread; ``async with`` ends in another, where Django's calls are made."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
