"""One run: each engine in turn, each row on it, a bar of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench import page
from bench.databases import Database, throw_away
from bench.measuring import Budget, Comparison, compare
from bench.report import ENGINES, PageResult, Report, RowResult
from bench.rows import ROWS, MismatchError, Row
from bench.workload import Workload, fill


def run(
    engines: Sequence[str], names: Sequence[str], budget: Budget, folder: Path | None, messages: Console
) -> Report:
    """Measure these rows on these engines. Raises ``NoServerError`` or ``MismatchError``."""
    versions: list[str] = []
    rows: list[RowResult] = []
    pages: list[PageResult] = []
    with Progress(console=messages, transient=True) as progress:
        task = progress.add_task("", total=len(engines) * len(names))
        for engine in engines:
            progress.update(task, description=f"{ENGINES[engine]}: filling the tables")
            with throw_away(engine, folder) as database:
                versions.append(database.floor.version())
                _same_durability(database)
                load = fill(database.floor)
                for name in names:
                    progress.update(task, description=f"{ENGINES[engine]}: {name}")
                    if name == page.NAME:
                        pages.append(PageResult(engine, page.measure(budget)))
                    else:
                        rows.append(RowResult(engine, ROWS[name], _measured(ROWS[name], load, budget)))
                    progress.advance(task)
    rows.sort(key=lambda result: list(ROWS).index(result.row.name))
    return Report(versions, rows, pages)


def _measured(row: Row, load: Workload, budget: Budget) -> Comparison:
    """The row's two sides, proved to hold the same data before and after they are timed."""
    pair = row.pair(load)
    pair.ours()
    pair.floor()
    pair.check()
    comparison = compare(pair.ours, pair.floor, budget)
    pair.check()
    return comparison


def _same_durability(database: Database) -> None:
    ours, floor = database.floor.durability()
    if ours != floor:
        raise MismatchError(f"The two connections are not set alike: ours {ours}, the floor's {floor}.")
