"""Where this run has its named budgets from, and whether it records them."""

from __future__ import annotations

import difflib
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fieldstone.testing.budgets.errors import NoSuchQueryBudget, QueryBudgetExceeded
from fieldstone.testing.budgets.recorded import merge_of_run, read
from fieldstone.testing.budgets.uses import Numbers, Uses, in_words

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
    uses: Uses = field(default_factory=Uses)
    """Of this process; in pytest's controller in the end also those of its workers."""

    def recorded(self, name: str) -> Numbers | None:
        """None if the file has no such name. Raises ``BudgetsFileError`` for a broken file."""
        return read(self.path).get(name)

    def note(self, name: str, used: Mapping[str, int], *, exact: bool = False) -> None:
        """What one use of a name took.

        Raises ``QueryBudgetExceeded`` where the name is exact, and another use took another number.
        """
        __tracebackhide__ = True
        is_more = self.uses.add(name, used, exact=exact)
        if not is_more and not exact:
            return
        known = self.uses
        if self.writes_at_once:
            one = Uses()
            one.add(name, used, exact=exact)
            known = merge_of_run(self.path, _run(), one)
        if name in known.differing:
            raise QueryBudgetExceeded(differing(name, known), used)

    def missing(self, name: str, used: Mapping[str, int]) -> NoSuchQueryBudget:
        """The error that says so, and how to record it."""
        similar = difflib.get_close_matches(name, read(self.path), n=1)
        meant = f'\nIs "{similar[0]}" meant, which it has?' if similar else ""
        return NoSuchQueryBudget(
            f'{_shown(self.path)} has no query budget "{name}". This time it took: {in_words(used)}.{meant}\n'
            f"Record it, if that is right: {self.how}"
        )

    def advice(self, *, too_many: bool, too_few: bool) -> str:
        """For a budget of the file that was not kept."""
        right = "this is" if too_many and too_few else "fewer is" if too_few else "more is"
        return f"The budget is from {_shown(self.path)}. If {right} right, record it: {self.how}"


def differing(name: str, uses: Uses) -> str:
    """That no number is right for an exact name, and what to do."""
    one, other = uses.differing[name]
    return (
        f'Query budget "{name}" is exact, but not all of its uses take the same: one took {in_words(one)}; '
        f"another, {in_words(other)}.\n"
        "No number is right for them all. Give each use a name of its own (the mark without a name does, also for "
        "each case of a parametrised test), or leave out exact=True: then the most of them is recorded."
    )


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
