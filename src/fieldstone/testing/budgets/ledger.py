"""Where this run has its named budgets from, and whether it records them."""

from __future__ import annotations

import difflib
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fieldstone.testing.budgets.errors import NoSuchQueryBudget
from fieldstone.testing.budgets.recorded import Named, Numbers, keep_most, merge_of_run, read

FILE = "query_budgets.json"
PATH_VARIABLE = "FIELDSTONE_QUERY_BUDGETS"
UPDATE_VARIABLE = "FIELDSTONE_UPDATE_QUERY_BUDGETS"


@dataclass(slots=True)
class Ledger:
    """The named budgets of one run."""

    path: Path
    """The file."""
    is_updated: bool
    """This run measures the budgets, and judges none."""
    how: str
    """The command that records them."""
    writes_at_once: bool = False
    """Nobody writes at the end of the run, as pytest does."""
    measured: Named = field(default_factory=dict)
    """The most of all uses of each name in this process."""

    def recorded(self, name: str) -> Numbers | None:
        """None if the file has no such name. Raises ``BudgetsFileError`` for a broken file."""
        return read(self.path).get(name)

    def note(self, name: str, used: Mapping[str, int]) -> None:
        """What one use of a name took."""
        if keep_most(self.measured, name, used) and self.writes_at_once:
            merge_of_run(self.path, _run(), {name: self.measured[name]})

    def missing(self, name: str, used: Mapping[str, int]) -> NoSuchQueryBudget:
        """The error that says so, and how to record it."""
        took = ", ".join(f"{alias} {count}" for alias, count in sorted(used.items())) or "no query"
        similar = difflib.get_close_matches(name, read(self.path), n=1)
        meant = f'\nIs "{similar[0]}" meant, which it has?' if similar else ""
        return NoSuchQueryBudget(
            f'{_shown(self.path)} has no query budget "{name}". This time it took: {took}.{meant}\n'
            f"Record it, if that is right: {self.how}"
        )

    @property
    def advice(self) -> str:
        """For a budget of the file that was not kept."""
        return f"The budget is from {_shown(self.path)}. If more is right, record it: {self.how}"


_in_use: list[Ledger] = []


def use(ledger: Ledger) -> None:
    """From now on, in place of what the environment says; a run within a run has its own."""
    _in_use.append(ledger)


def use_no_longer(ledger: Ledger) -> None:
    _in_use.remove(ledger)


def current() -> Ledger:
    """pytest's, if its plugin is at work; else by the environment, with the file in the working directory."""
    if _in_use:
        return _in_use[-1]
    path = path_of_environment() or Path.cwd() / FILE
    if path not in _by_path:
        how = f"set {UPDATE_VARIABLE}=1 and run the test again."
        _by_path[path] = Ledger(path, False, how, writes_at_once=True)
    _by_path[path].is_updated = is_updated_by_environment()
    return _by_path[path]


_by_path: dict[Path, Ledger] = {}


def path_of_environment() -> Path | None:
    given = os.environ.get(PATH_VARIABLE)
    return Path.cwd() / given if given else None


def is_updated_by_environment() -> bool:
    return os.environ.get(UPDATE_VARIABLE, "") not in ("", "0")


def _run() -> str:
    """The same in all processes that Django's parallel test runner starts."""
    parent = multiprocessing.parent_process()
    return str(parent.pid if parent else os.getpid())


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
