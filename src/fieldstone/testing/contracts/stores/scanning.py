"""Every learner's states of a block or of a learning context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import pytest
from opaque_keys.edx.keys import LearningContextKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED, Grade, Preferences, Scanned, Store, Summary, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import (
    COURSE,
    ELSEWHERE,
    OTHER_COURSE,
    A,
    B,
    C,
    dicts_of,
    usage,
)

Row = TypeVar("Row")

LIBRARY = LearningContextKey.from_string("library-v1:No+Library")
UNSORTED = (3, 1, 2, 0, 4)
"""The order in which learners save: not that of their keys, in which their rows come."""


def met(rows: Iterable[Scanned]) -> dict[str, list[int]]:
    """The learners at each block, in the order of the rows; each block's rows come together."""
    found: dict[str, list[int]] = {}
    for key, of_block in groupby(rows, key=lambda row: row.key):
        assert key not in found, f"rows of {key} came, then others, then more of it"
        found[key] = [row.learner_id for row in of_block]
    return found


def expected(learners: Sequence[int], *blocks: UsageKey) -> dict[str, list[int]]:
    return {str(block): sorted(learners) for block in blocks}


def changing(rows: Iterable[Row], change: Callable[[Row], None]) -> Iterator[Row]:
    """The rows, with a change between each two."""
    for row in rows:
        yield row
        change(row)


class Scanning(OnStores):
    @pytest.fixture
    def learners(self, store: Store) -> list[int]:
        """Five of twenty-five, in the order of their keys: with others before, between and after them."""
        return self.make_learners(store)[2::5]

    def make_learners(self, store: Store) -> list[int]:
        self.all_learners = [self.make_learner(store) for _ in range(25)]
        assert sorted(self.all_learners) == self.all_learners, "make_learner() gives greater keys later"
        return self.all_learners


class ScanningContract(Scanning):
    @pytest.fixture
    def filled(self, store: Store, learners: list[int]) -> Store:
        """Five learners at three blocks of two types, and at a block of another course, met in between."""
        for block in (A, ELSEWHERE, B, C):
            for number in UNSORTED:
                store.save(learners[number], {block: {"x": learners[number]}})
        return store

    @pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 7, 15, 16, 1000])
    def test_a_context_is_read_whole_and_nothing_else_whatever_the_batch(
        self, filled: Store, learners: list[int], batch: int
    ) -> None:
        """Batches that end amid a block, at its end, and at the end of all."""
        assert met(filled.scan(context=COURSE, batch=batch)) == expected(learners, A, B, C)
        assert met(filled.scan(context=OTHER_COURSE, batch=batch)) == expected(learners, ELSEWHERE)

    @pytest.mark.parametrize("batch", [1, 2, 5, 6])
    def test_a_block_is_read_whole_and_nothing_else_whatever_the_batch(
        self, filled: Store, learners: list[int], batch: int
    ) -> None:
        assert met(filled.scan(usage_key=B, batch=batch)) == expected(learners, B)

    @pytest.mark.parametrize("batch", [1, 2, 1000])
    def test_one_block_type(self, filled: Store, learners: list[int], batch: int) -> None:
        problems = met(filled.scan(context=COURSE, block_type="problem", batch=batch))
        assert problems == expected(learners, A, B)
        assert met(filled.scan(context=COURSE, block_type="html", batch=batch)) == expected(learners, C)
        assert met(filled.scan(context=COURSE, block_type="poll", batch=batch)) == {}
        assert met(filled.scan(usage_key=C, block_type="html", batch=batch)) == expected(learners, C)
        assert met(filled.scan(usage_key=C, block_type="problem", batch=batch)) == {}

    def test_what_is_scanned_is_what_is_read(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1, "y": None}, C: {"z": [1.0]}}, grades={C: Grade(1, 2)})
        store.save(learner, {A: {"x": 2}})
        states = store.read(learner, [A, C])
        rows = {row.usage_key: row for row in store.scan(context=COURSE)}
        assert rows.keys() == {A, C}
        for key, row in rows.items():
            assert (row.learner_id, row.key, row.block_type) == (learner, str(key), key.block_type)
            assert dict(row.state.fields) == dict(states[key].fields)
            assert row.state._replace(fields=states[key].fields) == states[key]
            assert row.state.modified.utcoffset() is not None

    def test_empty_states_and_stored_nulls_are_scanned(self, store: Store, learners: list[int]) -> None:
        store.save(learners[0], {A: {"x": DELETED}})
        store.save(learners[1], {A: {"x": None}})
        store.save(learners[2], {A: {"x": 1}})
        store.save(learners[2], {A: {"x": DELETED}})
        store.save(learners[3], {}, grades={A: Grade(1, 2)})
        for scan in (store.scan(usage_key=A), store.scan(context=COURSE)):
            assert dicts_of(row.state for row in scan) == [{}, {"x": None}, {}, {}]

    def test_the_other_scopes_are_not_scanned(self, store: Store, learner: int) -> None:
        store.save(learner, {Summary(A): {"x": 1}, Preferences("problem"): {"x": 1}, UserInfo(): {"x": 1}})
        assert met(store.scan(context=COURSE)) == met(store.scan(usage_key=A)) == {}

    def test_a_context_or_block_that_was_never_met(self, filled: Store) -> None:
        assert list(filled.scan(context=CourseLocator("No", "Such", "Course"))) == []
        assert list(filled.scan(context=LIBRARY)) == []
        assert list(filled.scan(usage_key=usage("never"))) == []

    @pytest.mark.parametrize("arguments", [{}, {"context": COURSE, "usage_key": A}], ids=["neither", "both"])
    def test_either_a_context_or_a_block(self, store: Store, arguments: dict[str, Any]) -> None:
        """At the call, not at the first row."""
        with pytest.raises(TypeError, match="either"):
            store.scan(**arguments)

    def test_wrong_arguments_of_a_scan(self, store: Store) -> None:
        text: Any = str(COURSE)
        with pytest.raises(InvalidPlaceError):
            store.scan(context=text)
        with pytest.raises(InvalidPlaceError):
            store.scan(usage_key=text)
        with pytest.raises(ValueError, match="at least one"):
            store.scan(context=COURSE, batch=0)

    @pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
    def test_rows_that_were_there_throughout_come_once_while_others_are_added(
        self, filled: Store, learners: list[int], batch: int
    ) -> None:
        """Learners and blocks before, at and after the place where the scan is; no row comes twice."""
        everybody, number, writer = self.all_learners, 0, self.make_store()

        def add(row: Scanned) -> None:
            nonlocal number
            number += 1
            if number <= 20:
                at = everybody.index(row.learner_id)
                for learner in {everybody[at - 1], everybody[(at + 1) % 25], everybody[-number]} - {*learners}:
                    blocks = (A, B, usage(f"new{number % 3}"))
                    writer.save(learner, {block: {"new": 1} for block in blocks})

        rows = [(row.key, row.learner_id) for row in changing(filled.scan(context=COURSE, batch=batch), add)]
        throughout = {(str(block), learner) for block in (A, B, C) for learner in learners}
        assert len(rows) == len(set(rows)), "a row came twice"
        assert throughout <= set(rows), "a row was passed over"

    @pytest.mark.parametrize("batch", [1, 2, 100])
    def test_a_row_that_is_saved_during_the_scan_comes_once(
        self, filled: Store, learners: list[int], batch: int
    ) -> None:
        """Saving moves no row: each learner's is saved right after it was seen, and so is everybody else's."""
        writer = self.make_store()

        def save_all(_: Scanned) -> None:
            for learner in learners:
                writer.save(learner, {B: {"more": "x" * 3000}})

        rows = changing(filled.scan(usage_key=B, batch=batch), save_all)
        assert met(rows) == expected(learners, B)

    def test_saving_what_is_scanned(self, filled: Store) -> None:
        """A job is ``scan`` and ``save``: the scan holds nothing open that a save would wait for."""
        for row in filled.scan(context=COURSE, batch=2):
            assert row.usage_key is not None
            filled.save(row.learner_id, {row.usage_key: {"x": row.state.fields["x"] + 1}})
        added = [row.state.fields["x"] - row.learner_id for row in filled.scan(context=COURSE)]
        assert added == [1] * 15
