"""Fields of a block that are saved, and read back."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given

from fieldstone.errors import InvalidLearnerError, InvalidPlaceError, InvalidValueError
from fieldstone.store import DELETED, Place, Preferences, Store, Summary, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.drawn import examples, saves
from fieldstone.testing.contracts.stores.samples import (
    A,
    B,
    all_fields_of,
    exactly,
    fields_of,
    overlaid,
    replayed,
    usage,
)


class SavingContract(OnStores):
    def test_a_saved_field_is_read_back_with_its_revision(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"attempts": 1}})
        store.save(learner, {A: {"attempts": 2}})
        state = store.read(learner, [A])[A]
        assert dict(state.fields) == {"attempts": 2}
        assert state.revision == 2

    def test_what_one_store_saves_another_reads(self, store: Store, learner: int) -> None:
        """A store is made wherever one is needed, and keeps nothing in itself."""
        store.save(learner, {A: {"attempts": 1}})
        other = self.make_store()
        other.save(learner, {A: {"seed": 7}})
        for made in (store, other, self.make_store()):
            assert fields_of(made, learner, A) == {"attempts": 1, "seed": 7}

    def test_fields_not_named_in_a_save_stay(self, store: Store, learner: int) -> None:
        """The second save gives back the merged row, as it stands in the database."""
        store.save(learner, {A: {"attempts": 1, "seed": 7}})
        receipt = store.save(learner, {A: {"attempts": 2}})
        assert dict(receipt.states[A].fields) == {"attempts": 2, "seed": 7}
        assert fields_of(store, learner, A) == {"attempts": 2, "seed": 7}

    def test_the_receipt_says_what_was_saved_and_when(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}})
        receipt = store.save(learner, {A: {"y": None}, B: {"x": 1}, UserInfo(): {"u": 1}})
        states = store.read(learner, [A, B])
        assert set(receipt.states) == {A, B}
        for block in (A, B):
            saved, read = receipt.states[block], states[block]
            assert dict(saved.fields) == dict(read.fields)
            assert (saved.revision, saved.modified) == (read.revision, read.modified)
        assert receipt.at.utcoffset() is not None
        assert not receipt.repeated

    def test_missing_is_not_none(self, store: Store, learner: int) -> None:
        """A stored null is a value; a place without a row is not in what ``read`` gives."""
        store.save(learner, {A: {"answer": None}})
        states = store.read(learner, [A, B])
        assert states[A].fields["answer"] is None
        assert "other" not in states[A].fields
        assert B not in states

    def test_a_deleted_field_is_gone_and_the_row_stays(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"attempts": 1}})
        store.save(learner, {A: {"attempts": DELETED}})
        assert fields_of(store, learner, A) == {}

    def test_deleting_a_field_where_no_row_exists_leaves_an_empty_state(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"attempts": DELETED}, B: {"attempts": DELETED, "seed": 1}})
        assert fields_of(store, learner, A) == {}
        assert fields_of(store, learner, B) == {"seed": 1}

    def test_a_value_replaces_the_old_one_whole(self, store: Store, learner: int) -> None:
        """Objects are not merged deeply: the new value is what was saved."""
        store.save(learner, {A: {"answers": {"x": {"old": 1}, "y": 2}}})
        store.save(learner, {A: {"answers": {"x": {"new": None}}}})
        assert fields_of(store, learner, A) == {"answers": {"x": {"new": None}}}

    @examples(60)
    @given(saves=saves())
    def test_any_saves_give_what_a_dict_would(
        self, store: Store, learner: int, saves: list[dict[str, Any]]
    ) -> None:
        """Against a plain model: sets and deletes of any names and values, and the deltas replay to the state."""
        with transaction.atomic(store.using):
            model: dict[str, Any] = {}
            for changes in saves:
                store.save(learner, {A: changes})
                model = overlaid(model, changes)
            assert exactly(fields_of(store, learner, A)) == exactly(model)
            assert exactly(replayed(store, learner, A)) == exactly(model)
            transaction.set_rollback(True, using=store.using)

    def test_learners_are_kept_apart(self, store: Store, learner: int, another: int) -> None:
        places: list[Place] = [A, Preferences("html"), UserInfo(), Summary(A)]
        store.save(learner, {place: {"x": 1} for place in places})
        assert all_fields_of(store, another, places) == {Summary(A): {"x": 1}}
        assert store.history(another, A) == []

    def test_a_user_is_a_learner(self, store: Store, learner: int) -> None:
        user = get_user_model()(pk=learner)
        store.save(user, {A: {"x": 1}})
        store.save(learner, {A: {"y": 1}}, actor=user)
        assert dict(store.read(user, [A])[A].fields) == {"x": 1, "y": 1}
        assert [revision.actor_id for revision in store.history(user, A)] == [learner, None]

    @pytest.mark.parametrize("nobody", [None, "ada", True, 1.0])
    def test_only_a_saved_user_or_its_key_is_a_learner(self, store: Store, nobody: Any) -> None:
        with pytest.raises(InvalidLearnerError):
            store.save(nobody, {A: {"x": 1}})
        with pytest.raises(InvalidLearnerError):
            store.read(nobody, [A])

    @pytest.mark.parametrize(
        ("place", "fields", "error"),
        [
            (B, {"x": {1, 2}}, InvalidValueError),
            (B, {"x": b"bytes"}, InvalidValueError),
            (B, {"x": object()}, InvalidValueError),
            (B, {"nul\x00": 1}, InvalidValueError),
            (B, {"\ud800": 1}, InvalidValueError),
            (B, {7: 1}, InvalidValueError),
            (UserInfo(), {"n" * 256: 1}, InvalidValueError),
            ("block-v1:Org+Course+Run+type@problem+block@a", {"x": 1}, InvalidPlaceError),
            (usage("n" * 250), {"x": 1}, InvalidPlaceError),
            (Preferences(""), {"x": 1}, InvalidPlaceError),
        ],
        ids=lambda value: None if isinstance(value, dict) else getattr(value, "__name__", "place"),
    )
    def test_bad_input_is_refused_before_anything_is_written(
        self, store: Store, learner: int, place: Place, fields: dict[Any, Any], error: type[Exception]
    ) -> None:
        """Not even what is good in the same save."""
        with pytest.raises(error) as caught:
            store.save(learner, {A: {"x": 1}, place: fields})
        if isinstance(caught.value, InvalidValueError):
            assert caught.value.field == next(iter(fields)), "the error names another field"
        assert fields_of(store, learner, A) is None
        assert store.history(learner, A) == []

    def test_saving_nothing_costs_nothing(self, store: Store, learner: int) -> None:
        with CaptureQueriesContext(connections[store.using]) as queries:
            store.save(learner, {})
            store.save(learner, {A: {}})
        assert len(queries) == 0
        assert fields_of(store, learner, A) is None
