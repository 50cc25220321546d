"""What a budget allows: its arguments, checked, and its judgement of the numbers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connections

Ignore = str | re.Pattern[str]
"""``"savepoint"``, another text that the SQL contains, or a compiled regular expression that is found in it."""

SAVEPOINT = "savepoint"
TRANSACTION_WORDS = {"begin", "commit", "rollback", "transaction", "transactions"}
ALL = "all together"
KEYWORDS = ("exact", "ignore")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison."""

    database: str
    """An alias, or ``ALL``."""
    budget: int | None
    """None where this database has no budget of its own."""
    used: int
    exact: bool

    @property
    def difference(self) -> int:
        """Above zero: too many."""
        return self.used - (self.used if self.budget is None else self.budget)

    @property
    def is_broken(self) -> bool:
        return self.difference != 0 if self.exact else self.difference > 0


@dataclass(frozen=True, slots=True)
class Limits:
    """At most, or exactly, so many queries."""

    by_alias: Mapping[str, int]
    """A database that is not named may have none; not so where there is a total."""
    total: int | None = None
    """Over all databases together."""
    exact: bool = False

    def compared(self, used: Mapping[str, int]) -> list[Row]:
        """With what was used: named databases first, in their order, then others that were used."""
        if self.total is not None:
            rows = [Row(alias, None, used[alias], self.exact) for alias in sorted(used) if used[alias]]
            return [Row(ALL, self.total, sum(used.values()), self.exact), *rows]
        unnamed = {alias: 0 for alias in sorted(used) if used[alias] and alias not in self.by_alias}
        return [
            Row(alias, allowed, used.get(alias, 0), self.exact)
            for alias, allowed in {**self.by_alias, **unnamed}.items()
        ]


def limits_of(total_or_name: object, exact: bool, aliases: Mapping[str, int]) -> Limits | str:
    """What the arguments of ``query_budget`` say: the limits, or the name that they are recorded under.

    Raises ``TypeError`` or ``ValueError`` with what to write instead.
    """
    if callable(total_or_name):
        raise TypeError(
            "Above a test, write @query_budget(...) with the number of queries, such as @query_budget(default=4)."
        )
    _check_keywords(aliases)
    if total_or_name is None and not aliases:
        raise TypeError(
            "How many queries? Say it for each database, query_budget(default=4); for all of them together, "
            'query_budget(4); or by a name that the number is recorded under, query_budget("list of posts").'
        )
    if total_or_name is not None and aliases:
        named = ", ".join(f"{alias}={number!r}" for alias, number in aliases.items())
        raise TypeError(
            f"query_budget({total_or_name!r}, {named}) says it twice: leave out either {total_or_name!r}, or the "
            "numbers of the databases. A database that is not named beside one that is may have no query at all."
        )
    if isinstance(total_or_name, str):
        if not total_or_name.strip():
            raise ValueError('The name of a query budget is empty: query_budget("list of posts").')
        return total_or_name
    if total_or_name is not None:
        return Limits({}, _number(total_or_name, "query_budget({})"), exact)
    check_aliases(aliases)
    return Limits(
        {alias: _number(number, f"query_budget({alias}={{}})") for alias, number in aliases.items()}, None, exact
    )


def _check_keywords(aliases: Mapping[str, object]) -> None:
    """Raises ``TypeError`` for one that is not an alias, but a keyword misspelt."""
    known = set(connections.settings) if settings.configured else set()
    for name, value in aliases.items():
        # Without settings any alias may be right, most of all with a number.
        likeness = 0.85 if isinstance(value, int) and not isinstance(value, bool) else 0.6
        similar = difflib.get_close_matches(name.lower(), KEYWORDS, n=1, cutoff=likeness)
        if similar and name not in known:
            raise TypeError(f"query_budget({name}={value!r}): is {similar[0]}={value!r} meant?")


def check_only_one(args: Sequence[object]) -> None:
    """Raises ``TypeError`` for several things without a keyword."""
    if len(args) > 1:
        written = ", ".join(map(repr, args))
        raise TypeError(
            f"query_budget({written}): only one number, or one name, goes without a keyword. A name has its "
            "numbers from the file of named budgets; those of databases are written "
            "query_budget(default=4, history=1)."
        )


def check_aliases(aliases: Iterable[str]) -> None:
    """Raises ``ValueError`` for one that the settings do not have, if there are settings by now."""
    unknown = [alias for alias in aliases if alias not in connections.settings] if settings.configured else []
    if unknown:
        known = ", ".join(connections.settings)
        raise ValueError(f"No database has the alias {unknown[0]!r}. DATABASES has: {known}.")


def ignored_of(ignore: Ignore | Iterable[Ignore]) -> tuple[Ignore, ...]:
    """Raises ``TypeError`` or ``ValueError`` for what would ignore nothing, or everything."""
    each = (ignore,) if isinstance(ignore, str | re.Pattern) else tuple(ignore)
    for one in each:
        if isinstance(one, re.Pattern) and isinstance(one.pattern, str):
            continue
        if not isinstance(one, str):
            raise TypeError(
                f'ignore={one!r} is neither text nor re.compile("..."): ignore=("savepoint",) leaves out '
                "savepoints, another text the queries whose SQL contains it."
            )
        _check_word(one)
    return each


def _check_word(word: str) -> None:
    if not word.strip():
        raise ValueError("ignore contains an empty text, which every query contains: leave it out.")
    if word.lower() in TRANSACTION_WORDS:
        raise ValueError(
            f"ignore={word!r}: the begin and the end of a transaction are never counted. Leave it out; "
            'for savepoints, ignore=("savepoint",).'
        )
    if word != SAVEPOINT and difflib.get_close_matches(word.lower(), [SAVEPOINT], cutoff=0.8):
        raise ValueError(f'ignore={word!r} is not known: is ignore=("savepoint",) meant?')


def _number(given: object, written: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{written.format(repr(given))}: a number of queries is a whole number, such as 4.")
    if given < 0:
        raise ValueError(f"{written.format(given)}: fewer than no queries cannot be. For none, write 0.")
    return given
