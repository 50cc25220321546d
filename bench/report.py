"""Results as a table for the terminal, as Markdown for the docs, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import django
from rich.console import Console
from rich.table import Table

from bench.measuring import Comparison, Quartiles
from bench.page import QUERIES_OF_XBLOCK_SDK, TITLE, PageCost
from bench.rows import Row

ENGINES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


@dataclass(frozen=True)
class RowResult:
    """A row on an engine."""

    engine: str
    row: Row
    comparison: Comparison

    @property
    def limit(self) -> float:
        return self.row.limits[self.engine]

    @property
    def verdict(self) -> str:
        """Judged by the interval: a limit inside it is neither met nor missed."""
        low, high = self.comparison.interval
        if high <= self.limit:
            return "met"
        return "not yet" if low > self.limit else "too close to say"


@dataclass(frozen=True)
class PageResult:
    engine: str
    cost: PageCost


@dataclass(frozen=True)
class Report:
    """All results of one run."""

    versions: Sequence[str]
    rows: Sequence[RowResult]
    pages: Sequence[PageResult]

    @property
    def setting(self) -> str:
        """Versions and machine in a line."""
        python = f"{platform.python_implementation()} {platform.python_version()}"
        return ", ".join((*self.versions, f"Django {django.__version__}", python, f"{os.cpu_count()} cores"))

    def as_markdown(self) -> str:
        lines = [self.setting, "", *_markdown(ROW_HEADINGS, map(_cells, self.rows))]
        if self.pages:
            lines += ["", *_markdown(PAGE_HEADINGS, map(_page_cells, self.pages))]
        return "\n".join(lines)

    def show(self, console: Console) -> None:
        """The tables for a person at a terminal."""
        if self.rows:
            colours = {"met": "green", "not yet": "red"}
            table = _rich(ROW_HEADINGS)
            for result in self.rows:
                *cells, verdict = map(_without_quartiles, _cells(result))
                table.add_row(*cells, f"[{colours.get(verdict, 'yellow')}]{verdict}")
            console.print(table)
        if self.pages:
            table = _rich(PAGE_HEADINGS)
            for page in self.pages:
                table.add_row(*map(_without_quartiles, _page_cells(page)))
            console.print(table)
        console.print(self.setting, style="dim")

    def as_json(self) -> str:
        """Seconds a call, whole samples left out."""
        rows = [_row_facts(result) for result in self.rows]
        pages = [_page_facts(result) for result in self.pages]
        return json.dumps({"setting": self.setting, "rows": rows, "pages": pages}, indent=2)


ROW_HEADINGS = ("work", "through", "engine", "floor, ms", "ours, ms", "ratio", "95% of", "at most", "verdict")
PAGE_HEADINGS = (
    "work",
    "engine",
    "the unit, ms",
    "its queries",
    "whole GET, ms",
    "its queries",
    "xblock-sdk's queries",
)


def _cells(result: RowResult) -> tuple[str, ...]:
    found = result.comparison
    low, high = found.interval
    return (
        result.row.title,
        result.row.through,
        ENGINES[result.engine],
        _milliseconds(Quartiles.of(found.floor)),
        _milliseconds(Quartiles.of(found.ours)),
        f"{found.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{result.limit:.1f}",
        result.verdict,
    )


def _page_cells(page: PageResult) -> tuple[str, ...]:
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


def _milliseconds(seconds: Quartiles) -> str:
    """The median, and the quartiles in brackets."""
    low, middle, high = (f"{value * 1_000:.3g}" for value in (seconds.low, seconds.median, seconds.high))
    return f"{middle} ({low}–{high})"


def _without_quartiles(cell: str) -> str:
    """A terminal is narrow; Markdown and JSON have them."""
    return cell.split(" (")[0]


def _markdown(headings: Sequence[str], rows: Any) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def _rich(headings: Sequence[str]) -> Table:
    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 or heading in ("engine", "verdict") else "right")
    return table


def _row_facts(result: RowResult) -> dict[str, Any]:
    found = result.comparison
    return {
        "row": result.row.name,
        "title": result.row.title,
        "through": result.row.through,
        "engine": result.engine,
        "ours": vars(Quartiles.of(found.ours)),
        "floor": vars(Quartiles.of(found.floor)),
        "ratio": found.ratio,
        "interval": found.interval,
        "rounds": len(found.ours),
        "calls_per_sample": found.calls_per_sample,
        "limit": result.limit,
        "verdict": result.verdict,
    }


def _page_facts(page: PageResult) -> dict[str, Any]:
    cost = page.cost
    return {
        "engine": page.engine,
        "unit": {**vars(cost.unit_seconds), "queries": cost.unit_queries},
        "request": {**vars(cost.request_seconds), "queries": cost.request_queries},
    }
