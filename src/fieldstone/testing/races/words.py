"""How a race tells what it found, and what stood in its way."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import IntegrityError

from fieldstone.testing import places
from fieldstone.testing.races.actors import Actor, Turn
from fieldstone.testing.races.report import Finding, Interleaving, RaceReport, Step

TITLES = {
    "lost update": "Lost update",
    "anomaly": "Anomaly",
    "deadlock": "Deadlock",
    "error": "Error only when they run at once",
}
ROWS = 8
"""Rows of a difference that are shown."""
LAST_TURNS = 20
"""Turns that are shown where a race ended early."""


def found(
    report: RaceReport, *, declared: bool, numbers: Mapping[str, Sequence[str]], left_out: Sequence[str]
) -> str:
    """The whole message: how many, then the simplest of each kind with its steps, how to replay it, and a hint."""
    failures = report.failures
    orders = {each.order for each in failures}
    who = " and ".join(f"{letter} ({name})" for letter, name in report.names.items())
    of = "this interleaving" if declared else f"{len(orders)} of {_count(report)}"
    lines = [f"On {report.engine}, {of} of {who} went wrong:"]
    kinds = list(dict.fromkeys(each.kind for each in failures))
    for kind in kinds:
        number = len({each.order for each in failures if each.kind == kind})
        lines.append(f"  {TITLES[kind].lower()}: {number}")
    for kind in kinds:
        finding = next(each for each in failures if each.kind == kind)
        interleaving = next(each for each in report.interleavings if each.order == finding.order)
        lines += ["", f"{TITLES[kind]}, in order {finding.order}: {_sentence(finding, report)}", ""]
        lines += _steps(interleaving.steps, interleaving)
        hint = _hint(finding, interleaving, numbers.get(finding.order, ()))
        lines += [*_differences(finding), "", *_advice(finding, hint, report)]
    if left_out:
        lines += ["", f"Not compared, since runs in the same order differ there: {', '.join(left_out)}"]
    return "\n".join(lines)


def _count(report: RaceReport) -> str:
    number = len(report.interleavings)
    if report.limit_reached:
        return f"the {number} interleavings tried (there are more: limit={number})"
    return f"all {number} interleavings"


def _sentence(finding: Finding, report: RaceReport) -> str:
    actors = " and ".join(finding.actors)
    if finding.kind == "lost update":
        what = ", ".join(finding.tables)
        return f"{what or 'the end state'} is as if {actors} had never run."
    if finding.kind == "anomaly":
        return f"no order of {actors}, one after the other, leaves this end state."
    if finding.kind == "error":
        return f"{actors} raised {_error(finding.error)}."
    circle = ", ".join(f"{who} waited for {' or '.join(whom)}" for who, whom in finding.waits)
    return f"{circle or 'each waited for another'}; the database chose {actors} to fail."


def _error(error: BaseException | None) -> str:
    text = " ".join(str(error).partition("DETAIL:")[0].split())  # PostgreSQL's details differ from run to run
    return f"{type(error).__name__}: {text}"[:160] if text else type(error).__name__


def outcome(error: BaseException | None) -> str:
    return "goes through" if error is None else f"raises {_error(error)}"


def _steps(steps: Sequence[Step], interleaving: Interleaving | None = None) -> list[str]:
    if not steps:
        return ["  no statements"]
    aliases = {step.alias for step in steps}
    shown = [f"{step.alias}: {step.sql}" if len(aliases) > 1 else step.sql for step in steps]
    wide, far = max(map(len, shown)), len(str(len(steps)))
    lines = []
    for number, (step, sql) in enumerate(zip(steps, shown, strict=True), start=1):
        lines.append(f"  {number:>{far}}  {step.actor}  {sql:<{wide}}  {step.place}")
        if step.waited_for:
            lines.append(f"  {'':>{far}}       waited for {' or '.join(step.waited_for)}")
        if step.error is not None:
            lines.append(f"  {'':>{far}}       {_error(step.error)}")
    if interleaving is not None and interleaving.passed_over:
        turns = ", ".join(map(str, interleaving.passed_over))
        lines.append(f"  Turns passed over, since their actor waited for a lock: {turns}")
    return lines


def _differences(finding: Finding) -> Iterator[str]:
    for each in finding.differences:
        yield ""
        yield f"  {each.table or 'observe()'}"
        after = f"after {', '.join(finding.after)}" if finding.after else "before"
        yield from _rows("is", each.found, len(after))
        yield from _rows(after, each.expected, len(after))


def _rows(title: str, texts: Sequence[str], wide: int) -> Iterator[str]:
    wide = max(wide, 10) + 2
    for number, text in enumerate(texts[:ROWS] or ["(no such row)"]):
        yield f"    {title if not number else '':<{wide}}{text}"
    if len(texts) > ROWS:
        yield f"    {'':<{wide}}and {len(texts) - ROWS} more"


def _advice(finding: Finding, hint: Sequence[str], report: RaceReport) -> list[str]:
    names = [name if name.isidentifier() else "..." for name in report.names.values()]
    replay = f'  Replay:  race({", ".join(names)}, order="{finding.order}")'
    return [replay, *(f"  {'Hint:' if not at else '':<9}{line}" for at, line in enumerate(hint))]


def _hint(finding: Finding, interleaving: Interleaving, numbers: Sequence[str]) -> Sequence[str]:
    if finding.kind == "anomaly" and numbers:
        names = ", ".join(f'"{each}"' for each in numbers)
        return (
            "these seem to be keys of new rows, which depend on whose row came first. If so, leave them out:",
            f"ignore=[{names}], or say what counts with observe=.",
        )
    if finding.kind == "lost update":
        return (
            "read the row with select_for_update() in the transaction that writes it,",
            "or let the database reckon: .update(count=F('count') + 1).",
        )
    if isinstance(getattr(finding.error, "__cause__", None), sqlite3.OperationalError):
        return (
            "SQLite lets no transaction that has read wait to write. Begin with the write lock:",
            'DATABASES[...]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
        )
    if finding.kind == "deadlock":
        return (
            "take the locks in one order everywhere, for instance select_for_update().order_by('pk')",
            'for all rows at once; or try again, and say allow=["deadlock"].',
        )
    if finding.kind == "anomaly":
        return (
            "what one read, the other changed before the first one wrote. Lock what a decision is based on",
            "(select_for_update()), add a constraint, or use isolation level SERIALIZABLE.",
        )
    return _hint_for_error(finding.error)


def _hint_for_error(error: BaseException | None) -> Sequence[str]:
    if isinstance(error, IntegrityError):
        return (
            "between the check and the write another one wrote. Let the constraint decide: get_or_create(),",
            "bulk_create(ignore_conflicts=True), or catch IntegrityError around an inner atomic().",
        )
    if "serializ" in str(error):
        return ("such a transaction has to be tried again; once it is, say allow=[OperationalError].",)
    return ("lock what the failing step relies on, or handle the error and say so in allow=[...].",)


def rows(state: Mapping[tuple[str, str], Counter[tuple[tuple[str, Any], ...]]]) -> dict[str, list[dict[str, Any]]]:
    """For a report: by table, of those that changed, all rows."""
    return {name: [dict(row) for row in sorted(found.elements(), key=repr)] for (_, name), found in state.items()}


# What stood in the way.


def ignored_nothing(names: Sequence[str], columns: Sequence[str]) -> str:
    there = "\n".join(f"  {each}" for each in columns) or "  none: no table was written to"
    return f"""\
ignore= names what no table has that was written to: {", ".join(map(repr, names))}. The columns there are:

{there}"""


def left_open(alias: str) -> str:
    return (
        f"setup= has left a transaction open on {alias!r}: the steps would wait for its locks.\n\n"
        "  End it in setup, with transaction.atomic() around what it does, or commit()."
    )


def in_transaction(connection: BaseDatabaseWrapper) -> str:
    blocks = getattr(connection, "atomic_blocks", [])
    of_a_test = any(getattr(each, "_from_testcase", False) for each in blocks)
    where = "the transaction of a TestCase" if of_a_test else "a transaction"
    return f"""\
race() was called inside {where} on {connection.alias!r}. The racers use connections of their own,
which see nothing of what is not committed.

  unittest:  derive the test from django.test.TransactionTestCase
  pytest:    @pytest.mark.django_db(transaction=True)
  else:      leave atomic() before race(), and create what the racers need in setup="""


def private_database(alias: str) -> str:
    return f"""\
The SQLite database {alias!r} is in memory and belongs to one connection; racers need one each.

  Give it a name that connections share:  "NAME": "file:races?mode=memory&cache=shared"
  or a file. Django's own test database in memory is shared already."""


def never_succeeds(actor: Actor, error: BaseException) -> str:
    entries, tb = [], error.__traceback__
    while tb is not None:
        entries.append((tb.tb_frame.f_code, tb.tb_lineno))
        tb = tb.tb_next
    own = [each for each in entries if places.is_own(each[0].co_filename)]
    at = ""
    if own:
        code, line = own[-1]
        at = f" at {places.place_in(code.co_filename, line, code.co_qualname.rpartition('<locals>.')[2])}"
    return f"""\
{actor.letter} ({actor.name}) fails even when no other one runs at the same time, in every order:

  {_error(error)}
 {at or " in no code of the project"}

  There is nothing to race. Mend the step, or create what it needs in setup=. If it is meant to fail, say
  allow=[{type(error).__name__}]."""


def nothing_left(
    wanted: int, asked: Sequence[int], left: int, turns: Sequence[Turn], actors: Sequence[Actor]
) -> str:
    actor, order = actors[wanted], "".join(actors[each].letter for each in asked)
    steps = [turn.step() for turn in turns]
    each = ", ".join(f"{other.letter} {sum(step.actor == other.letter for step in steps)}" for other in actors)
    lines = [
        f'Turn {len(asked) - left} of order="{order}" is for {actor.letter} ({actor.name}), which has finished.',
        "",
        *_steps(steps),
        "",
        f"  Steps so far: {each}. A statement is a step, and so are commit and rollback; savepoints are none.",
    ]
    return "\n".join(lines)


def too_many_turns(turns: Sequence[int], actors: Sequence[Actor]) -> str:
    each = ", ".join(f"{actor.letter} {turns.count(at)}" for at, actor in enumerate(actors))
    return f"""\
The steps have taken {len(turns):,} turns ({each}) and are not done: one of them asks the database in a loop.

  Give the loop an end, or replace what it waits for."""


def stuck(
    running: Iterable[Actor],
    waiting: Mapping[str, tuple[str, ...]],
    outside: Mapping[str, Sequence[int]],
    timeout: float,
    turns: Sequence[Turn],
) -> str:
    lines = []
    for actor in running:
        lines += [f"{actor.letter} ({actor.name}) has not reached its next statement within {timeout:g} s.", ""]
        lines.append(f"  It is at {actor.where()}")
        if outside.get(actor.letter):
            sessions = ", ".join(map(str, outside[actor.letter]))
            lines.append(f"  It waits for a lock of a session that is not in the race: {sessions}")
        elif actor.letter in waiting:
            lines.append(f"  It waits for a lock of {' or '.join(waiting[actor.letter])}, which keeps it.")
        else:
            lines.append(
                "  It waits for no lock of the database: for one of Python's, or its statement takes long."
            )
        lines.append("")
    steps = [turn.step() for turn in turns[-LAST_TURNS:]]
    return "\n".join([*lines, *_steps(steps), "", *_ADVICE_WHEN_STUCK])


_ADVICE_WHEN_STUCK = (
    "  A step must not wait for another one outside the database: they take turns. If it only takes long,",
    "  say race(..., timeout=seconds). Its sessions are ended; a thread that hangs in Python stays behind.",
)
