"""Results as tables for the terminal, as Markdown for the docs, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.databases import ENGINES
from bench.kit import MOST_SECONDS
from bench.measuring import Comparison, Quartiles
from bench.page import QUERIES_OF_XBLOCK_SDK, TITLE
from bench.regions import SERVERS
from bench.results import KitResult, PageResult, RegionResult, Report, RowResult, SizeResult
from bench.weighing import Amount

PLACES = ENGINES | SERVERS
COLOURS = {"met": "green", "not yet": "red", "too close to say": "yellow"}


class Section(NamedTuple):
    """One of the tables; without rows it is not shown."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _sections(report: Report) -> list[Section]:
    compared = ("ratio", "95% of", "at most", "verdict")
    found = [
        Section(("work", "through", "engine", "floor, ms", "ours, ms", *compared), [*map(_row, report.rows)]),
        Section(
            ("what", "engine", "measured", "at most", "verdict", "made of"), [*map(_amount, report.amounts)]
        ),
        Section(
            ("work", "engine", "the unit, ms", "its queries", "whole GET, ms", "its queries",
             "xblock-sdk's queries"),
            [*map(_page, report.pages)],
        ),
        Section(("work", *_table_sizes(report.sizes), *compared), [*map(_size, report.sizes)]),
        Section(
            ("work", "who", "on", "floor, µs", "theirs, µs", *compared), [*map(_region, report.regions)]
        ),
        Section(
            ("a test with", "on", "without, µs", "with, µs", "more, µs", "at most", "verdict"),
            [*map(_kit, report.kit)],
        ),
    ]  # fmt: skip
    return [section for section in found if section.rows]


def as_markdown(report: Report) -> str:
    lines = [report.setting]
    for headings, rows in _sections(report):
        lines += ["", *(f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows))]
    return "\n".join([*lines, "", report.loaded] if report.loaded else lines)


def show(report: Report, console: Console) -> None:
    """The tables for a person at a terminal, which is narrow: without quartiles."""
    for headings, rows in _sections(report):
        table = Table()
        for number, heading in enumerate(headings):
            is_text = number < 2 or heading in ("engine", "on", "verdict", "made of")
            table.add_column(heading, justify="left" if is_text else "right")
        for cells in rows:
            table.add_row(*(_coloured(cell.split(" (")[0] if n else cell) for n, cell in enumerate(cells)))
        console.print(table)
    for line in (report.loaded, report.setting):
        if line:
            console.print(line, style="dim")


def as_json(report: Report) -> str:
    """Seconds a call, whole samples left out."""
    return json.dumps(
        {
            "setting": report.setting,
            "rows": [_row_facts(result) for result in report.rows],
            "pages": [_page_facts(result) for result in report.pages],
            "amounts": [{**vars(amount), "verdict": amount.verdict} for amount in report.amounts],
            "sizes": [_size_facts(result) for result in report.sizes],
            "regions": [_region_facts(result) for result in report.regions],
            "kit": [_kit_facts(result) for result in report.kit],
        },
        indent=2,
    )


def _coloured(cell: str) -> str:
    return f"[{COLOURS[cell]}]{cell}" if cell in COLOURS else cell


def _row(result: RowResult) -> tuple[str, ...]:
    return (
        result.row.title,
        result.row.through,
        ENGINES[result.engine],
        *_compared(result.comparison, result.limit, result.verdict),
    )


def _compared(found: Comparison, limit: float | None, verdict: str) -> tuple[str, ...]:
    low, high = found.interval
    return (
        _milliseconds(Quartiles.of(found.floor)),
        _milliseconds(Quartiles.of(found.ours)),
        f"{found.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        _ratio(limit),
        verdict,
    )


def _ratio(limit: float | None) -> str:
    """A limit with one digit after the point, or two where it has them."""
    return "" if limit is None else f"{limit:.2f}".removesuffix("0")


def _amount(amount: Amount) -> tuple[str, ...]:
    limit = "" if amount.limit is None else _number(amount.limit)
    value = f"{_number(amount.value)} {amount.unit}"
    return amount.title, ENGINES[amount.engine], value, limit, amount.verdict, amount.note


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}"


def _page(page: PageResult) -> tuple[str, ...]:
    cost = page.cost
    return (
        TITLE,
        ENGINES[page.engine],
        _milliseconds(cost.unit_seconds),
        str(cost.unit_queries),
        _milliseconds(cost.request_seconds),
        str(cost.request_queries),
        str(QUERIES_OF_XBLOCK_SDK),
    )


def _size(result: SizeResult) -> tuple[str, ...]:
    return result.title, *_compared(result.comparison, result.limit, result.verdict)


def _region(result: RegionResult) -> tuple[str, ...]:
    _, title, who, _, comparison, limit, most = result.found
    low, high = comparison.interval
    return (
        title,
        who,
        PLACES[result.server],
        _microseconds(Quartiles.of(comparison.floor)),
        _microseconds(Quartiles.of(comparison.ours)),
        f"{comparison.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        _ratio(limit) if most is None else f"{most * 1e6:,.0f} µs",
        result.verdict,
    )


def _kit(result: KitResult) -> tuple[str, ...]:
    title, comparison = result.added
    return (
        title,
        ENGINES[result.engine],
        _microseconds(Quartiles.of(comparison.floor)),
        _microseconds(Quartiles.of(comparison.ours)),
        _three(result.more * 1e6),
        f"{MOST_SECONDS * 1e6:,.0f}",
        result.verdict,
    )


def _table_sizes(sizes: Sequence[SizeResult]) -> tuple[str, ...]:
    return tuple(f"at {states:,}, ms" for states in (sizes[0].small, sizes[0].large)) if sizes else ()


def _milliseconds(seconds: Quartiles) -> str:
    return _quartiles(seconds, 1e3)


def _microseconds(seconds: Quartiles) -> str:
    return _quartiles(seconds, 1e6)


def _quartiles(seconds: Quartiles, units: float) -> str:
    """The median, and the quartiles in brackets."""
    low, middle, high = (_three(value * units) for value in (seconds.low, seconds.median, seconds.high))
    return f"{middle} ({low}–{high})"


def _three(number: float) -> str:
    """Three digits, and no fewer before the point."""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.3g}"


def _row_facts(result: RowResult) -> dict[str, Any]:
    return {
        "row": result.row.name,
        "title": result.row.title,
        "through": result.row.through,
        "engine": result.engine,
        **_comparison_facts(result.comparison, "floor"),
        "limit": result.limit,
        "verdict": result.verdict,
    }


def _size_facts(result: SizeResult) -> dict[str, Any]:
    return {
        "title": result.title,
        "states": {"ours": result.large, "small": result.small},
        **_comparison_facts(result.comparison, "small"),
        "limit": result.limit,
        "verdict": result.verdict,
    }


def _region_facts(result: RegionResult) -> dict[str, Any]:
    found = result.found
    return {
        "row": found.name,
        "title": found.title,
        "server": result.server,
        "who": found.who,
        "floor_is": found.floor,
        **_comparison_facts(found.comparison, "floor"),
        "limit": found.limit,
        "most_seconds": found.most_seconds,
        "verdict": result.verdict,
    }


def _kit_facts(result: KitResult) -> dict[str, Any]:
    return {
        "title": result.added.title,
        "engine": result.engine,
        **_comparison_facts(result.added.comparison, "floor"),
        "more_seconds": result.more,
        "verdict": result.verdict,
    }


def _comparison_facts(found: Comparison, other: str) -> dict[str, Any]:
    return {
        "ours": vars(Quartiles.of(found.ours)),
        other: vars(Quartiles.of(found.floor)),
        "ratio": found.ratio,
        "interval": found.interval,
        "rounds": len(found.ours),
        "calls_per_sample": found.calls_per_sample,
    }


def _page_facts(page: PageResult) -> dict[str, Any]:
    cost = page.cost
    return {
        "engine": page.engine,
        "unit": {**vars(cost.unit_seconds), "queries": cost.unit_queries},
        "request": {**vars(cost.request_seconds), "queries": cost.request_queries},
    }
