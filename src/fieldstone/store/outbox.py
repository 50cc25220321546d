"""History on another database alias, where a router puts it: written beside the states, then moved, exactly once.

A save writes its history in the states' database, by the same statement as ever: the table there is the outbox.
A row is copied to the other alias, and only when that is committed it is deleted here; so whatever crashes, each
revision is in one of the two tables or in both, never in none. Whoever reads looks here first and there second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import connections, transaction

from fieldstone.errors import SameHistoryTableError
from fieldstone.store.engines.history import BEFORE_ALL, HistoryRow, HistoryTable, RevisionKey
from fieldstone.store.routing import Home

logger = logging.getLogger("fieldstone.store")

BATCH = 300
"""Rows to a move. MariaDB takes another plan for lists of 1,000 values, and a key has three."""

SECONDS_OF_PAUSE = 30.0
"""For how long a process leaves the history's database alone after a failure: each try may cost a timeout."""


class Moved(NamedTuple):
    """What a move has done."""

    revisions: int
    clashes: list[RevisionKey]  # not moved: the other alias has another save under this key


def sweep(home: Home, batch: int = BATCH) -> Iterator[Moved]:
    """Move every row that is left in the outbox, a batch at a time, in constant memory.

    Rows that are saved meanwhile may be left. Several sweeps at once wait for each other, batch by batch.

    Raises ``SameHistoryTableError``; ``django.db.Error`` when one of the two databases fails, and ``RuntimeError``
    inside a transaction: what is not committed cannot be moved.
    """
    if not home.is_divided:
        return
    local, after = HistoryTable(home.states), BEFORE_ALL
    while keys := local.keys(after, batch):
        yield move(home, keys)
        after = keys[-1]
    _pause.over(home)


def move(home: Home, keys: Sequence[RevisionKey], *, skip_locked: bool = False) -> Moved:
    """Move these rows, or those of them that no other process is moving. Errors as in ``sweep``."""
    local, remote = HistoryTable(home.states), HistoryTable(home.history)
    _check_tables(local, remote)
    # Durable: a copy that may yet be rolled back is no copy, and a save that may yet be is none either.
    with transaction.atomic(home.states, durable=True):
        rows = local.read_rows(keys, lock=True, skip_locked=skip_locked)
        if not rows:
            return Moved(0, [])
        with transaction.atomic(home.history, durable=True):
            clashes = _copy(rows, remote)
        # Here a crash leaves rows in both tables: the next move finds them there, and deletes them here.
        moved = [row.key for row in rows if row.key not in clashes]
        if moved:
            local.remove(moved)
    return Moved(len(moved), sorted(clashes))


def _copy(rows: Sequence[HistoryRow], remote: HistoryTable) -> set[RevisionKey]:
    """Insert what is not there yet; the keys of those that are there with other content."""
    there = {row.key: row for row in remote.read_rows([row.key for row in rows])}
    missing = [row for row in rows if row.key not in there]
    if missing:
        remote.add(missing)
    return {row.key for row in rows if row.key in there and not row.is_same_save(there[row.key])}


_apart: set[tuple[str, ...]] = set()  # pairs of databases that have been looked at, by alias and name


def _check_tables(local: HistoryTable, remote: HistoryTable) -> None:
    """Moving from a table to itself would find each row there already, and delete it."""
    pair = tuple(
        str(name)
        for table in (local, remote)
        for name in (table.using, connections[table.using].settings_dict["NAME"])
    )
    if pair not in _apart:
        if local.is_same_table(remote):
            raise SameHistoryTableError(local.using, remote.using)
        _apart.add(pair)


# After a save


def move_after_commit(home: Home, learner_id: int) -> None:
    """Move the history of a learner once the transaction of the save is committed."""
    # All of the learner's, so that what an outage left is soon gone; a batch, so that no page waits long.
    _after_commit(home, f"learner {learner_id}", lambda: [HistoryTable(home.states).keys_of(learner_id, BATCH)])


def move_revisions_after_commit(home: Home, keys: Sequence[RevisionKey]) -> None:
    """Move these revisions, of many learners, once the transaction of their save is committed."""
    batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
    _after_commit(home, f"{len(keys)} revisions", lambda: batches)


def _after_commit(home: Home, what: str, batches: Callable[[], Sequence[Sequence[RevisionKey]]]) -> None:
    connection = connections[home.states]
    if not connection.in_atomic_block and not connection.get_autocommit():
        return  # Django cannot tell when that commits: `fieldstone_sweep_history` moves it
    transaction.on_commit(_AfterCommit(home, what, batches), using=home.states)


@dataclass(frozen=True)
class _AfterCommit:
    """Called by Django when the save is committed: whatever fails now, the save stands and its history waits."""

    home: Home
    what: str
    batches: Callable[[], Sequence[Sequence[RevisionKey]]]

    def __call__(self) -> None:
        if connections[self.home.history].in_atomic_block:
            transaction.on_commit(self, using=self.home.history)  # see ``durable`` above
            return
        if _pause.is_on(self.home):
            return
        try:
            clashes = [
                clash
                for keys in self.batches()
                if keys
                for clash in move(self.home, keys, skip_locked=True).clashes
            ]
        except Exception:
            # Of any class: an exception would tell the caller that the save failed.
            _pause.begin(self.home)
            logger.exception(_WAITS, self.what, *self.home, SECONDS_OF_PAUSE)
            connections[self.home.history].close_if_unusable_or_obsolete()
        else:
            if clashes:
                logger.error(_CLASH, len(clashes), *self.home)


_WAITS = (
    "The save stands, and its history (%s) waits on the database %r: it could not be moved to %r. Nothing"
    " is lost. For %d s no save of this process tries again. When the database is back, what waits is moved by"
    " `manage.py fieldstone_sweep_history`, or by the learners' next saves."
)
_CLASH = (
    "%d revisions stay on the database %r: %r has other saves of the same learners, blocks and revisions. Have two"
    " stores been given one database of history? `manage.py fieldstone_sweep_history` lists them."
)


@dataclass
class _Pause:
    """Until when a process does not try to move history after a save."""

    clock: Callable[[], float] = time.monotonic
    until: dict[Home, float] = field(default_factory=dict)

    def begin(self, home: Home) -> None:
        self.until[home] = self.clock() + SECONDS_OF_PAUSE

    def over(self, home: Home) -> None:
        self.until.pop(home, None)

    def is_on(self, home: Home) -> bool:
        return self.clock() < self.until.get(home, 0.0)


_pause = _Pause()
