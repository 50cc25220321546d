"""How much history is kept: revisions that are neither young enough nor among the latest are deleted.

The oldest revision that is kept gets the whole state beside it first, in the same transaction; so every revision
that is kept can still be rebuilt, and what is older is known to be gone (``HistoryTrimmedError``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from fieldstone import conf
from fieldstone.store.engines.history import HistoryTable, RevisionKey, Span
from fieldstone.store.history import state_of
from fieldstone.store.outbox import BATCH, move, sweep
from fieldstone.store.routing import Home
from fieldstone.store.tables import LOWEST_ID
from fieldstone.values import encode_fields

REVISIONS_TO_A_TRANSACTION = 1000


@dataclass(frozen=True)
class Limits:
    """What is kept of each row's history: what either of the limits keeps, and always the latest revision.

    Of the days, also the last revision before them: it is the state as of when they began.

    Raises ``ValueError`` for limits below these, or when there is none.
    """

    revisions: int | None  # this many of the latest, 1 or more
    days: int | None  # those that were saved in so many days, 0 or more

    def __post_init__(self) -> None:
        if self.revisions is None and self.days is None:
            raise ValueError("All history is kept: neither HISTORY_REVISIONS nor HISTORY_DAYS is set.")
        if self.revisions is not None and self.revisions < 1:
            raise ValueError(f"At least 1 revision is kept, not {self.revisions}.")
        if self.days is not None and self.days < 0:
            raise ValueError(f"Days to keep are 0 or more, not {self.days}.")

    @classmethod
    def of_settings(cls, revisions: int | None = None, days: int | None = None) -> Limits:
        """The limits that are given, or those of the settings if neither is."""
        if revisions is None and days is None:
            return cls(conf.history_revisions(), conf.history_days())
        return cls(revisions, days)

    def begin(self, now: datetime) -> datetime:
        """From when on everything is kept, as far as the days say it."""
        return now - timedelta(days=self.days or 0)

    def oldest_kept(self, span: Span) -> int:
        """The first revision of a row that is kept."""
        by_revisions = span.latest if self.revisions is None else span.latest - self.revisions + 1
        by_days = span.latest if self.days is None else (span.oldest if span.then is None else span.then)
        return max(span.oldest, min(by_revisions, by_days))


@dataclass
class Trimmed:
    """What a batch has come to, or several added."""

    states: int = 0  # looked at
    shortened: int = 0  # states whose history lost something
    revisions: int = 0  # deleted
    left: list[tuple[RevisionKey, str]] = field(default_factory=list)  # not trimmed to these revisions, and why

    def __add__(self, other: Trimmed) -> Trimmed:
        return Trimmed(
            self.states + other.states,
            self.shortened + other.shortened,
            self.revisions + other.revisions,
            self.left + other.left,
        )


class Trimming:
    """One walk over all history of a home, in constant memory and short transactions.

    Saves may go on meanwhile, as may sweeps and other trimmings.
    """

    def __init__(self, home: Home, limits: Limits, now: datetime, batch: int = 300) -> None:
        self._home = home
        self._limits = limits
        self._begin = limits.begin(now)
        self._batch = batch
        self._table = HistoryTable(home.history)

    def batches(self, *, dry_run: bool = False) -> Iterator[Trimmed]:
        """Trim, or with ``dry_run`` count; a batch of states at a time.

        What is still in an outbox is moved first, and not moved in a dry run: it is not counted then.
        """
        if not dry_run:
            for _ in sweep(self._home):
                pass
        after = (LOWEST_ID, LOWEST_ID)
        while spans := self._table.spans(after, self._begin, self._batch):
            after = spans[-1].learner_id, spans[-1].usage_id
            cuts = [(span, self._limits.oldest_kept(span)) for span in spans]
            cuts = [(span, kept) for span, kept in cuts if kept > span.oldest]
            trimmed = Trimmed(len(spans))
            if dry_run:
                trimmed.shortened, trimmed.revisions = len(cuts), sum(kept - span.oldest for span, kept in cuts)
            else:
                self._trim(cuts, trimmed)
            yield trimmed

    def _trim(self, cuts: list[tuple[Span, int]], trimmed: Trimmed) -> None:
        blocked = self._settle(cuts)
        trimmed.left += [(key, "it clashes with another store's, and cannot be moved") for key in blocked]
        left = {key[:2] for key in blocked}
        shortened: set[tuple[int, int]] = set()
        for group in _groups((span, kept) for span, kept in cuts if (span.learner_id, span.usage_id) not in left):
            with transaction.atomic(self._home.history):
                for key, is_last in group:
                    deleted = self._cut(key)
                    if deleted:
                        shortened.add(key[:2])
                        trimmed.revisions += deleted
                    if deleted is None and is_last:
                        trimmed.left.append((key, "the state as of it cannot be rebuilt"))
        trimmed.shortened = len(shortened)

    def _settle(self, cuts: list[tuple[Span, int]]) -> list[RevisionKey]:
        """Wait until no revision of these rows is on its way: moved after the trimming, it would be an island.

        Gives those that cannot be moved. None that is to be deleted can come to the outbox later: it is older than
        one that has been moved already.
        """
        if not self._home.is_divided or not cuts:
            return []
        waiting = HistoryTable(self._home.states).keys_of_rows([span[:2] for span, _ in cuts])
        parts = (waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH))
        return [clash for part in parts for clash in move(self._home, part).clashes]

    def _cut(self, key: RevisionKey) -> int | None:
        """Make a revision the oldest; how many were deleted, or ``None`` if it cannot be rebuilt."""
        learner_id, usage_id, kept = key
        # Of two trimmings of a row one waits here: after the other's statements they would wait for each other.
        while not self._table.lock_oldest(learner_id, usage_id):
            if not self._table.ends(learner_id, usage_id):
                return 0
        state = state_of(self._table.read_until(learner_id, usage_id, kept))
        if state is not None and state.revision == kept:
            return self._table.cut(key, encode_fields(state.fields.encoded))
        ends = self._table.ends(learner_id, usage_id)
        is_cut_already = bool(ends) and ends[0].revision > kept  # by another trimming
        return 0 if is_cut_already else None


def _groups(cuts: Iterable[tuple[Span, int]]) -> Iterator[list[tuple[RevisionKey, bool]]]:
    """The cuts of each transaction, and whether each is the last of its row: a long history is cut in steps."""
    group: list[tuple[RevisionKey, bool]] = []
    size = 0
    for span, kept in cuts:
        for oldest in range(span.oldest, kept, REVISIONS_TO_A_TRANSACTION):
            to = min(kept, oldest + REVISIONS_TO_A_TRANSACTION)
            if group and size + to - oldest > REVISIONS_TO_A_TRANSACTION:
                yield group
                group, size = [], 0
            group.append(((span.learner_id, span.usage_id, to), to == kept))
            size += to - oldest
    if group:
        yield group
