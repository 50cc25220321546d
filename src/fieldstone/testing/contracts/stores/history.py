"""What was saved before: revisions, earlier states, and what they were restored to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given

from fieldstone.errors import NoSuchRevisionError
from fieldstone.store import DELETED, Grade, Store
from fieldstone.testing.clock import Clock
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.drawn import examples, saves
from fieldstone.testing.contracts.stores.samples import NEW_YEAR, A, B, dicts_of, exactly, fields_of, overlaid

DAY = timedelta(days=1)
LONG = 105
"""Revisions of a long history: of Fieldstone's own store, over two snapshots."""


class HistoryContract(OnStores):
    def test_history_says_what_changed_when_and_by_whom(
        self, store: Store, learner: int, another: int, clock: Clock
    ) -> None:
        store.save(learner, {A: {"x": 1, "y": 2}}, origin="handler:answer")
        clock.move_to(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
        store.save(learner, {A: {"x": None, "y": DELETED}}, origin="rescore", actor=another)
        latest, first = store.history(learner, A)
        assert (first.number, first.changes, first.origin, first.actor_id, first.at) == (
            1,
            {"x": 1, "y": 2},
            "handler:answer",
            None,
            NEW_YEAR,
        )
        assert (latest.number, latest.changes, latest.actor_id) == (2, {"x": None, "y": DELETED}, another)
        assert latest.at - first.at == timedelta(days=1, hours=3, minutes=4, seconds=5, microseconds=678)
        assert store.read(learner, [A])[A].modified == latest.at

    def test_history_is_of_every_save_latest_first(self, store: Store, learner: int) -> None:
        for number in range(LONG):
            store.save(learner, {A: {"x": number}, B: {"y": number}}, origin=f"save {number}")
        revisions = store.history(learner, A)
        assert [revision.number for revision in revisions] == list(range(LONG, 0, -1))
        assert [revision.changes for revision in revisions] == [{"x": n} for n in range(LONG - 1, -1, -1)]
        assert [revision.origin for revision in revisions] == [f"save {n}" for n in range(LONG - 1, -1, -1)]

    def test_an_origin_is_cut_at_64_characters(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}}, origin="é" * 65)
        assert store.history(learner, A)[0].origin == "é" * 64

    def test_updates_never_go_backwards(self, store: Store, learner: int, clock: Clock) -> None:
        """A save with a clock that is behind keeps the later time."""
        clock.move_to(NEW_YEAR + DAY)
        store.save(learner, {A: {"x": 1}})
        clock.move_to(NEW_YEAR)
        store.save(learner, {A: {"x": 2}})
        assert store.read(learner, [A])[A].modified == NEW_YEAR + DAY
        assert [revision.at for revision in store.history(learner, A)] == [NEW_YEAR + DAY] * 2

    def test_the_state_as_of_a_revision(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1, "y": None}})
        store.save(learner, {A: {"x": 2, "z": [3]}})
        store.save(learner, {A: {"y": DELETED}})
        assert [dict(store.at(learner, A, revision=number).fields) for number in (1, 2, 3)] == [
            {"x": 1, "y": None},
            {"x": 2, "y": None, "z": [3]},
            {"x": 2, "z": [3]},
        ]

    def test_the_state_as_of_a_moment(self, store: Store, learner: int, clock: Clock) -> None:
        for number in range(3):
            clock.move_to(NEW_YEAR + number * DAY)
            store.save(learner, {A: {"x": number}})
        just_before = NEW_YEAR + timedelta(days=2, microseconds=-1)
        state = store.at(learner, A, moment=just_before)
        assert (dict(state.fields), state.revision, state.modified) == ({"x": 1}, 2, NEW_YEAR + DAY)
        assert store.at(learner, A, moment=NEW_YEAR).revision == 1
        before = store.at(learner, A, moment=NEW_YEAR - timedelta(seconds=1))
        assert (dict(before.fields), before.revision) == ({}, 0)

    def test_a_clock_that_runs_back_does_not_disorder_the_moments(
        self, store: Store, learner: int, clock: Clock
    ) -> None:
        """Each revision's time is no earlier than the one before: as of any moment it is a state that was."""
        for number, moment in enumerate([NEW_YEAR + DAY, NEW_YEAR, NEW_YEAR + 2 * DAY]):
            clock.move_to(moment)
            store.save(learner, {A: {f"x{number}": number}})
        assert dict(store.at(learner, A, moment=NEW_YEAR + timedelta(hours=1)).fields) == {}
        assert dict(store.at(learner, A, moment=NEW_YEAR + DAY).fields) == {"x0": 0, "x1": 1}

    @pytest.mark.parametrize("revision", [0, 2, -1])
    def test_a_revision_that_never_was(self, store: Store, learner: int, another: int, revision: int) -> None:
        store.save(learner, {A: {"x": 1}})
        with pytest.raises(NoSuchRevisionError, match=f"no revision {revision}"):
            store.at(learner, A, revision=revision)
        with pytest.raises(NoSuchRevisionError):
            store.restore(learner, A, revision=revision)
        with pytest.raises(NoSuchRevisionError):
            store.at(another, A, revision=1)

    @pytest.mark.parametrize("arguments", [{}, {"revision": 1, "moment": NEW_YEAR}], ids=["neither", "both"])
    def test_either_a_revision_or_a_moment(self, store: Store, learner: int, arguments: dict[str, Any]) -> None:
        with pytest.raises(TypeError, match="either"):
            store.at(learner, A, **arguments)

    def test_looking_back_does_not_grow_in_queries_with_the_history(self, store: Store, learner: int) -> None:
        """However long the history."""

        def queries_for_all() -> list[int]:
            counts = []
            for look in (
                lambda: store.at(learner, A, revision=1),
                lambda: store.history(learner, A),
                lambda: store.states(learner, A),
            ):
                with CaptureQueriesContext(connections[store.using]) as queries:
                    look()
                counts.append(len(queries))
            return counts

        store.save(learner, {A: {"x": 1}})
        queries_for_all()  # the block is met now
        short = queries_for_all()
        for number in range(LONG):
            store.save(learner, {A: {"x": number}})
        assert all(of_long <= of_short for of_long, of_short in zip(queries_for_all(), short, strict=True))

    def test_the_states_after_every_save_are_those_as_of_every_revision(self, store: Store, learner: int) -> None:
        """Grades and times among them, across snapshots, latest first."""
        for number in range(LONG):
            changes = {f"f{number % 7}": number, f"f{(number + 3) % 7}": DELETED}
            store.save(learner, {A: changes}, grades={A: Grade(number, 200)} if number % 3 else {})
        states = store.states(learner, A)
        assert [state.revision for state in states] == list(range(LONG, 0, -1))
        for state in states:
            same = store.at(learner, A, revision=state.revision)
            assert dict(state.fields) == dict(same.fields)
            assert state._replace(fields=same.fields) == same
        assert dict(states[0].fields) == fields_of(store, learner, A)
        assert [state.modified for state in states] == [revision.at for revision in store.history(learner, A)]

    def test_the_states_of_what_was_never_saved(self, store: Store, learner: int, another: int) -> None:
        assert store.states(learner, A) == []
        store.save(learner, {A: {"x": 1}})
        assert store.states(learner, B) == store.states(another, A) == []


class RestoringContract(OnStores):
    def test_restoring_writes_a_new_revision(self, store: Store, learner: int, another: int) -> None:
        store.save(learner, {A: {"x": 1, "gone": 1}, B: {"other": 1}})
        store.save(learner, {A: {"x": 2, "gone": DELETED, "new": [1]}})
        receipt = store.restore(learner, A, revision=1, actor=another)
        assert dict(receipt.states[A].fields) == {"x": 1, "gone": 1}
        latest = store.history(learner, A)[0]
        assert (latest.number, latest.origin, latest.actor_id) == (3, "restore", another)
        assert latest.changes == {"x": 1, "gone": 1, "new": DELETED}
        assert dict(store.at(learner, A, revision=2).fields) == {"x": 2, "new": [1]}
        assert fields_of(store, learner, B) == {"other": 1}

    def test_any_revision_can_be_restored(self, store: Store, learner: int) -> None:
        for number in range(4):
            store.save(learner, {A: {"x": number, f"f{number}": 1}})
        states = dicts_of(store.states(learner, A))[::-1]
        for revision in (2, 4, 1, 3):
            store.restore(learner, A, revision=revision)
            assert fields_of(store, learner, A) == states[revision - 1]

    def test_restoring_what_is_there_already_writes_nothing(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}})
        store.restore(learner, A, revision=1)
        assert len(store.history(learner, A)) == 1

    @examples(30)
    @given(saves=saves(min_fields=1, max_saves=6))
    def test_every_revision_of_any_saves_is_what_a_dict_was(
        self, store: Store, learner: int, saves: list[dict[str, Any]]
    ) -> None:
        with transaction.atomic(store.using):
            model: dict[str, Any] = {}
            models = []
            for changes in saves:
                store.save(learner, {A: changes})
                model = overlaid(model, changes)
                models.append(model)
            for number, expected in enumerate(models, 1):
                state = store.at(learner, A, revision=number)
                assert exactly(dict(state.fields)) == exactly(expected)
            for number, expected in enumerate(models, 1):
                store.restore(learner, A, revision=number)
                assert exactly(fields_of(store, learner, A)) == exactly(expected)
            transaction.set_rollback(True, using=store.using)
