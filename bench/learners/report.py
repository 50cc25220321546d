"""What a run found, for a terminal, for the docs, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.learners.journal import Action, Journal, Kind, Outcome, Sample

HEADINGS = ("request", "number", "a second", "p50, ms", "p90, ms", "p99, ms", "max, ms", "queries, median", "most")
SHOWN = 20  # findings and errors; the number of all is told


@dataclass(frozen=True)
class KindResult:
    """The answered requests of one kind."""

    kind: str
    number: int
    per_second: float
    p50: float  # seconds, as all
    p90: float
    p99: float
    longest: float
    queries: int | None  # median
    most_queries: int | None


@dataclass(frozen=True)
class Result:
    """A whole run."""

    setting: str
    seconds: float  # from the first request to the last answer
    kinds: list[KindResult]
    acknowledged: dict[str, int]  # by kind
    refused: int
    unanswered: int
    killed: int  # workers of the server
    client_cores: float  # processor time of the client, a second
    states: int
    revisions: int
    errors: dict[str, int]
    findings: list[str]
    log: str  # the end of the server's, where there are errors

    @property
    def lost(self) -> int:
        """What is not as the learners were told."""
        return len(self.findings)


def kinds_of(journal: Journal, seconds: float) -> list[KindResult]:
    return [
        _kind(kind, [sample for sample in journal.samples if sample.kind is kind], seconds)
        for kind in Kind
        if any(sample.kind is kind for sample in journal.samples)
    ]


def _kind(kind: Kind, samples: Sequence[Sample], seconds: float) -> KindResult:
    times = sorted(sample.seconds for sample in samples)
    queries = sorted(sample.queries for sample in samples if sample.queries is not None)
    return KindResult(
        kind.value,
        len(times),
        len(times) / seconds,
        _percentile(times, 0.5),
        _percentile(times, 0.9),
        _percentile(times, 0.99),
        times[-1],
        queries[len(queries) // 2] if queries else None,
        queries[-1] if queries else None,
    )


def _percentile(ordered: Sequence[float], part: float) -> float:
    """The least of the values that so many of all are not above: a time that some request took."""
    return ordered[max(0, -int(-len(ordered) * part // 1) - 1)]


def acknowledged_of(actions: Sequence[Action]) -> dict[str, int]:
    return dict(Counter(each.kind.value for each in actions if each.outcome is Outcome.ACKNOWLEDGED))


def as_json(result: Result) -> str:
    return json.dumps({**asdict(result), "lost": result.lost}, indent=2)


def as_markdown(result: Result) -> str:
    rows = [HEADINGS, ("---",) * len(HEADINGS), *map(_cells, result.kinds)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return "\n\n".join([result.setting, table, *_sentences(result)])


def show(result: Result, console: Console) -> None:
    table = Table()
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number else "left")
    for kind in result.kinds:
        table.add_row(*_cells(kind))
    console.print(table)
    for line in (result.setting, *_sentences(result)):
        console.print(escape(line), highlight=False)


def _cells(found: KindResult) -> tuple[str, ...]:
    times = (f"{seconds * 1000:,.0f}" for seconds in (found.p50, found.p90, found.p99, found.longest))
    queries = ("" if each is None else str(each) for each in (found.queries, found.most_queries))
    return (found.kind, f"{found.number:,}", f"{found.per_second:.1f}", *times, *queries)


def _sentences(result: Result) -> list[str]:
    actions = sum(result.acknowledged.values())
    pages = sum(found.number for found in result.kinds if found.kind == Kind.PAGE.value)
    found = [
        f"{actions:,} actions acknowledged in {result.seconds:.1f} s: {actions / result.seconds:.1f} actions and "
        f"{pages / result.seconds:.1f} pages a second. {result.refused:,} refused, {result.unanswered:,} "
        f"unanswered, {result.killed} workers killed. The client took {result.client_cores:.2f} of a core. "
        f"{result.states:,} states and {result.revisions:,} revisions read: lost {result.lost}."
    ]
    errors = sorted(result.errors.items(), key=lambda each: -each[1])
    found += [f"{number:,} x {error}" for error, number in errors[:SHOWN]]
    found += result.findings[:SHOWN]
    if len(result.findings) > SHOWN:
        found.append(f"... and {len(result.findings) - SHOWN:,} more")
    return found
