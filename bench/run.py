"""One run: each engine in turn, each row on it, a bar of what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench import kit, page, regions, scale
from bench.databases import ENGINES, Database, throw_away
from bench.measuring import Budget, Comparison, compare
from bench.results import KitResult, PageResult, RegionResult, Report, RowResult, SizeResult
from bench.rows import ROWS, MismatchError, Row
from bench.weighing import AMOUNTS
from bench.workload import Volume, Workload

NAMES = (*ROWS, *AMOUNTS, page.NAME, scale.NAME, *regions.NAMES, kit.NAME)
PLACES = ENGINES | regions.SERVERS
BY_DEFAULT = tuple(name for name in NAMES if name != scale.NAME)  # which takes ten minutes and 30 GB of disk


@dataclass(frozen=True)
class Task:
    """What is asked for."""

    engines: Sequence[str]  # databases, and servers of regions
    names: Sequence[str]
    budget: Budget
    volume: Volume
    states: int  # in the large table of the row `size`
    folder: Path | None  # for SQLite's file


def run(task: Task, messages: Console) -> Report:
    """Raises ``NoServerError``, ``MismatchError`` or ``LostFieldsError``."""
    with Progress(console=messages, transient=True) as progress:
        steps = progress.add_task("", total=sum(len(names_on(engine, task.names)) for engine in task.engines))
        under_way = _Run(task, progress)
        for engine in task.engines:
            for what in under_way.measure(engine):
                progress.update(steps, description=f"{PLACES[engine]}: {what}")
                progress.advance(steps, what in NAMES)
    under_way.report.rows.sort(key=lambda result: list(ROWS).index(result.row.name))
    under_way.report.regions.sort(key=lambda result: regions.NAMES.index(result.found.name))
    return under_way.report


def names_on(engine: str, names: Sequence[str]) -> list[str]:
    """What of this is measured on an engine, in the order of the table."""
    there = {*regions.names_on(engine)}
    if engine in ENGINES:
        there |= {*ROWS}
        # What is weighed, how a page's time divides, and a test's, does not depend on who prepares statements.
        if engine != "prepared":
            there |= {*AMOUNTS, page.NAME, kit.NAME}
        if engine == "postgresql":
            there.add(scale.NAME)
    return [name for name in NAMES if name in names and name in there]


class _Run:
    def __init__(self, task: Task, progress: Progress) -> None:
        self._task = task
        self._progress = progress
        self.report = Report()

    def measure(self, engine: str) -> Iterator[str]:
        """All that is asked for, on one engine; gives the name of each thing before it is measured."""
        wanted = names_on(engine, self._task.names)
        # Rows with the same data share a database.
        rows = sorted((ROWS[name] for name in wanted if name in ROWS), key=lambda row: row.fill.__name__)
        for fill, some in groupby(rows, key=lambda row: row.fill):
            yield "filling the tables"
            with self._database(engine) as database:
                load = fill(database, self._task.volume)
                for row in some:
                    yield row.name
                    self.report.rows.append(RowResult(engine, row, _measured(row, load, self._task.budget)))
        for name in wanted:
            if name not in ROWS and name not in regions.NAMES:
                yield name
                with self._database(engine) as database:
                    self._measure_other(name, database)
        of_regions = [name for name in wanted if name in regions.NAMES]
        if of_regions:
            with self._server(engine) as server:
                for name in of_regions:
                    yield name
                    found = regions.measure(name, server, self._task.budget)
                    self.report.regions.extend(RegionResult(engine, row) for row in found)

    def _measure_other(self, name: str, database: Database) -> None:
        if name == page.NAME:
            self.report.pages.append(PageResult(database.engine, page.measure(self._task.budget)))
        elif name == kit.NAME:
            self.report.kit.extend(KitResult(database.engine, added) for added in kit.measure(self._task.budget))
        elif name == scale.NAME:
            found = scale.measure(database, self._task.states, self._task.budget, self._loading)
            self.report.plans.extend(found.plans)
            self.report.loaded = found.loaded
            self.report.sizes.extend(
                SizeResult(title, found.small.states, found.large.states, comparison, limit)
                for title, comparison, limit in found.works
            )
        else:
            self.report.amounts.extend(AMOUNTS[name](database, self._task.volume))

    def _loading(self, what: str, total: int) -> Callable[[int], None]:
        bar = self._progress.add_task(what, total=total)
        return lambda more: self._progress.advance(bar, more)

    @contextmanager
    def _database(self, engine: str) -> Iterator[Database]:
        with throw_away(engine, self._task.folder) as database:
            self._heard(database.floor.version())
            _same_durability(database)
            yield database

    @contextmanager
    def _server(self, name: str) -> Iterator[regions.Server]:
        if name in regions.SERVERS:
            server = regions.connected(name)
            self._heard(server.version)
            yield server
        else:
            with self._database(name) as database:
                yield regions.on_database(database)

    def _heard(self, version: str) -> None:
        if version not in self.report.versions:
            self.report.versions.append(version)


def _measured(row: Row, load: Workload, budget: Budget) -> Comparison:
    """The row's two sides, proved to hold the same data before and after they are timed."""
    pair = row.pair(load)
    pair.ours()
    pair.floor()
    pair.check()
    comparison = compare(pair.ours, pair.floor, replace(budget, least_rounds=row.least_rounds))
    pair.check()
    return comparison


def _same_durability(database: Database) -> None:
    ours, floor = database.floor.durability()
    if ours != floor:
        raise MismatchError(f"The two connections are not set alike: ours {ours}, the floor's {floor}.")
