"""Every learner's fields of a place that is no block, and every summary of a learning context."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store import DELETED, Place, Preferences, ScannedFields, ScannedSummary, Store, Summary, UserInfo
from fieldstone.testing.clock import Clock
from fieldstone.testing.contracts.stores.samples import COURSE, ELSEWHERE, NEW_YEAR, OTHER_COURSE, A, B, C, usage
from fieldstone.testing.contracts.stores.scanning import UNSORTED, Scanning, changing

PROBLEM, HTML = Preferences("problem"), Preferences("html")


def scanned(rows: Iterable[ScannedFields]) -> list[tuple[int, dict[str, Any]]]:
    return [(row.learner_id, dict(row.state.fields)) for row in rows]


def summaries(rows: Iterable[ScannedSummary]) -> dict[tuple[str, str], dict[str, Any]]:
    found = [((row.key, row.block_type), dict(row.state.fields)) for row in rows]
    assert len(found) == len(dict(found)), "a summary came twice"
    return dict(found)


class ScanningFieldsContract(Scanning):
    @pytest.fixture
    def with_fields(self, store: Store, learners: list[int]) -> Store:
        """Five learners: one to three preferences for a block type, one for another, three fields of their own."""
        for number in UNSORTED:
            learner = learners[number]
            preferences = {f"p{n}": learner for n in range(1 + number % 3)}
            of_learner = {f"u{n}": learner for n in range(3)}
            store.save(learner, {PROBLEM: preferences, HTML: {"h": learner}, UserInfo(): of_learner})
        return store

    @pytest.fixture
    def summarised(self, store: Store, learner: int) -> Store:
        """Summaries of three blocks of two types; a block without, and one of another course, met in between."""
        for block in (A, ELSEWHERE, B, usage("without"), C):
            place = block if block == usage("without") else Summary(block)
            store.save(learner, {place: {"x": str(block), "y": None}})
        return store

    @pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 9, 10, 11, 15, 16, 1000])
    def test_fields_of_every_learner_come_whole_and_once_whatever_the_batch(
        self, with_fields: Store, learners: list[int], batch: int
    ) -> None:
        """Batches that end amid a learner, at the end of one, and at the end of all; of one place alone."""
        preferences = [(id_, {f"p{n}": id_ for n in range(1 + at % 3)}) for at, id_ in enumerate(learners)]
        assert scanned(with_fields.scan_fields(PROBLEM, batch=batch)) == preferences
        assert scanned(with_fields.scan_fields(HTML, batch=batch)) == [(id_, {"h": id_}) for id_ in learners]
        assert scanned(with_fields.scan_fields(Preferences("never"), batch=batch)) == []
        of_learners = [(id_, {f"u{n}": id_ for n in range(3)}) for id_ in learners]
        assert scanned(with_fields.scan_fields(UserInfo(), batch=batch)) == of_learners

    @pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 1000])
    def test_summaries_of_a_context_come_whole_and_once_whatever_the_batch(
        self, summarised: Store, batch: int
    ) -> None:
        expected = {(str(block), block.block_type): {"x": str(block), "y": None} for block in (A, B, C)}
        of_c = {(str(C), "html"): {"x": str(C), "y": None}}
        assert summaries(summarised.scan_summaries(COURSE, batch=batch)) == expected
        assert summaries(summarised.scan_summaries(COURSE, block_type="html", batch=batch)) == of_c
        assert summaries(summarised.scan_summaries(COURSE, block_type="poll", batch=batch)) == {}
        assert [row.usage_key for row in summarised.scan_summaries(OTHER_COURSE, batch=batch)] == [ELSEWHERE]
        assert list(summarised.scan_summaries(CourseLocator("No", "Such", "Course"), batch=batch)) == []

    def test_scanned_fields_are_those_that_are_read(self, store: Store, learner: int, clock: Clock) -> None:
        """Each field's own time among it."""
        places: list[Place] = [PROBLEM, UserInfo(), Summary(A)]
        all_changes: list[dict[str, Any]] = [{"x": 1, "y": None}, {"x": [1.0], "gone": 1}, {"gone": DELETED}]
        for days, changes in enumerate(all_changes):
            clock.move_to(NEW_YEAR + timedelta(days=days))
            store.save(learner, dict.fromkeys(places, changes))
        read = store.read(learner, places)
        states = [next(store.scan_fields(PROBLEM)).state, next(store.scan_fields(UserInfo())).state]
        states.append(next(store.scan_summaries(COURSE)).state)
        for place, state in zip(places, states, strict=True):
            assert dict(state.fields) == dict(read[place].fields) == {"x": [1.0], "y": None}
            assert state.modified == read[place].modified == NEW_YEAR + timedelta(days=1)
            assert dict(state.times or {}) == dict(read[place].times or {})
            assert state.times == {"x": NEW_YEAR + timedelta(days=1), "y": NEW_YEAR}
            assert state._replace(fields=read[place].fields) == read[place]

    def test_wrong_arguments_of_a_scan_of_fields(self, store: Store) -> None:
        """At the call, not at the first row."""
        of_other_kinds: list[Any] = [A, Summary(A), "problem", None]
        for place in of_other_kinds:
            with pytest.raises(InvalidPlaceError):
                store.scan_fields(place)
        with pytest.raises(InvalidPlaceError):
            store.scan_summaries(of_other_kinds[0])
        with pytest.raises(ValueError, match="at least one"):
            store.scan_fields(UserInfo(), batch=0)
        with pytest.raises(ValueError, match="at least one"):
            store.scan_summaries(COURSE, batch=0)

    @pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
    def test_learners_that_were_there_throughout_come_once_and_untorn_while_others_save(
        self, with_fields: Store, learners: list[int], batch: int
    ) -> None:
        """Each learner's fields are changed together, so each state has one value, an older or a newer one."""
        everybody, number, writer = self.all_learners, 0, self.make_store()

        def save(row: ScannedFields) -> None:
            nonlocal number
            number += 1
            if number <= 20:
                at = everybody.index(row.learner_id)
                new = (everybody[at - 1], everybody[(at + 1) % 25], everybody[-number])
                for learner in (*learners, *new):
                    writer.save(learner, {UserInfo(): {f"u{n}": number for n in range(3)}})

        rows = list(changing(with_fields.scan_fields(UserInfo(), batch=batch), save))
        seen = [row.learner_id for row in rows]
        assert len(seen) == len(set(seen)), "a learner came twice"
        assert set(learners) <= set(seen), "a learner was passed over"
        assert all(len(set(row.state.fields.values())) == 1 for row in rows), "a state is torn"

    def test_learners_whose_fields_are_deleted_during_the_scan(
        self, with_fields: Store, learners: list[int]
    ) -> None:
        """Whoever still comes, comes whole."""
        writer = self.make_store()

        def delete_all(_: ScannedFields) -> None:
            for learner in learners:
                writer.save(learner, {UserInfo(): {f"u{n}": DELETED for n in range(3)}})

        rows = scanned(changing(with_fields.scan_fields(UserInfo(), batch=4), delete_all))
        whole = [(learner, {f"u{n}": learner for n in range(3)}) for learner in learners]
        assert rows
        assert rows == whole[: len(rows)]
