"""The text of a budget that was not kept."""

from __future__ import annotations

from collections.abc import Sequence

from fieldstone.testing.budgets.counting import Counted
from fieldstone.testing.budgets.limits import ALL, Limits, Row
from fieldstone.testing.budgets.patterns import Group, groups_of
from fieldstone.testing.texts import aligned, short_sql

PATTERNS, PLACES, PARAMETERS = 5, 15, 3
"""So many are shown of each."""


def report(limits: Limits, counted: Counted, name: str = "", advice: str = "") -> str:
    """Headline, comparison, patterns, queries by place, what was ignored; ``advice`` is about a named budget."""
    rows = limits.compared(counted.used)
    groups = groups_of(counted)
    parts = [[_headline(rows, name)], _comparison(rows)]
    if advice:
        parts.append([advice])
    parts += _patterns([group for group in groups if group.is_pattern])
    parts.append(_places(groups, with_alias=len(counted.used) > 1))
    parts.append(_ignored(counted))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def number(count: int, thing: str = "query", things: str = "queries") -> str:
    return f"{count} {thing if count == 1 else things}"


def _headline(rows: Sequence[Row], name: str) -> str:
    broken = [row for row in rows if row.is_broken]
    what = f'Query budget "{name}"' if name else "Query budget"
    verb = "exceeded" if any(row.difference > 0 for row in broken) else "not used up"
    return f"{what} {verb}: " + "; ".join(_in_words(row) for row in broken) + "."


def _in_words(row: Row) -> str:
    where = "all databases together" if row.database == ALL else row.database
    if row.budget == 0:
        return f"{number(row.used)} on {where}, which may have none"
    allowed = f"exactly {row.budget}" if row.exact else f"at most {row.budget}"
    difference = f"{row.difference} too many" if row.difference > 0 else f"{-row.difference} too few"
    return f"{number(row.used)} on {where}, {allowed} allowed, {difference}"


def _comparison(rows: Sequence[Row]) -> list[str]:
    lines = [("database", "budget", "used", "difference")]
    for row in rows:
        budget = (
            "" if row.budget is None else f"{'exactly' if row.exact and row.budget else 'at most'} {row.budget}"
        )
        difference = "" if row.budget is None else f"{row.difference:+d}" if row.difference else "0"
        lines.append((row.database, "none" if row.budget == 0 else budget, str(row.used), difference))
    return aligned(lines, right=(2, 3), gap=3)


def _patterns(groups: Sequence[Group]) -> list[list[str]]:
    parts = [_pattern(group) for group in groups[:PATTERNS]]
    if len(groups) > PATTERNS:
        parts.append([f"… and {number(len(groups) - PATTERNS, 'other pattern', 'other patterns')}."])
    return parts


def _pattern(group: Group) -> list[str]:
    times, parameters = len(group.queries), group.parameters
    shown = ", ".join(parameters[:PARAMETERS])
    if len(parameters) > PARAMETERS:
        shown += f", … and {len(parameters) - PARAMETERS} more"
    lines = [f"  {short_sql(group.shape)}", *([f"  with {shown}"] if shown else [])]
    if len(parameters) == 1:
        headline = f"Asked again: the same query {times} times, with the same parameters, at {group.place}"
        return [headline, *lines, "  Ask once, and keep the answer."]
    headline = f"N+1: the same query {times} times, with {len(parameters)} different parameters, at {group.place}"
    return [headline, *lines, *_advice(group)]


def _advice(group: Group) -> list[str]:
    if group.remedy is None:
        return []
    at = f", at {group.origin}" if group.origin else ""
    return [f"  {group.remedy.cause}", f"  {group.remedy.cure}{at}."]


def _places(groups: Sequence[Group], *, with_alias: bool) -> list[str]:
    if not groups:
        return []
    rows = []
    for group in groups[:PLACES]:
        alias = [group.alias] if with_alias else []
        rows.append([str(len(group.queries)), *alias, str(group.place), short_sql(group.shape, 90)])
    lines = ["Queries by place, most first:", *aligned(rows, right=(0,), gap=3)]
    rest = groups[PLACES:]
    if rest:
        queries = sum(len(group.queries) for group in rest)
        lines.append(f"  … and {len(rest)} more ({number(queries)})")
    return lines


def _ignored(counted: Counted) -> list[str]:
    if not counted.ignored:
        return []
    each = [
        f"{times} by {ignored if isinstance(ignored, str) else ignored.pattern!r}"
        for ignored, times in counted.ignored.items()
    ]
    return ["Not counted, as ignored: " + ", ".join(each) + "."]
