"""A save that is tried again because nobody knows whether it arrived."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from fieldstone.errors import ConflictError, InvalidTokenError
from fieldstone.store import Grade, Store, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, B, fields_of


class TokensContract(OnStores):
    def test_a_save_that_is_tried_again_is_written_once(self, store: Store, learner: int) -> None:
        token = uuid4()
        first = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(1, 1)}, token=token)
        store.save(learner, {A: {"x": 2}})
        again = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(1, 1)}, token=token)
        assert (first.repeated, again.repeated) == (False, True)
        assert dict(again.states[A].fields) == {"x": 2}, "what was saved after it stays"
        assert [revision.number for revision in store.history(learner, A)] == [2, 1]
        assert [revision.number for revision in store.history(learner, B)] == [1]

    @pytest.mark.parametrize("token", ["a" * 32, 7, UUID(int=1), UUID("2f3e9786-a457-a917-352b-e67cdbd76923")])
    def test_what_is_no_token_is_refused_before_anything_is_written(
        self, store: Store, learner: int, token: Any
    ) -> None:
        with pytest.raises(InvalidTokenError, match="uuid4"):
            store.save(learner, {A: {"x": 1}}, token=token)
        assert store.read(learner, [A]) == {}

    def test_other_tokens_and_none_are_other_saves(self, store: Store, learner: int) -> None:
        for token in (uuid4(), uuid4(), None, None):
            assert not store.save(learner, {A: {"x": 1}}, token=token).repeated
        assert store.read(learner, [A])[A].revision == 4

    def test_a_token_is_one_learners(self, store: Store, learner: int, another: int) -> None:
        token = uuid4()
        store.save(learner, {A: {"x": 1}}, token=token)
        assert not store.save(another, {A: {"x": 1}}, token=token).repeated
        assert fields_of(store, another, A) == {"x": 1}

    def test_a_try_that_failed_leaves_its_token_free(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}})
        token = uuid4()
        with pytest.raises(ConflictError):
            store.save(learner, {A: {"x": 2}}, expected={A: 0}, token=token)
        assert not store.save(learner, {A: {"x": 2}}, expected={A: 1}, token=token).repeated
        assert fields_of(store, learner, A) == {"x": 2}

    def test_a_second_try_is_no_conflict(self, store: Store, learner: int) -> None:
        """It expects the revision that its first try had read."""
        token = uuid4()
        store.save(learner, {A: {"x": 1}}, expected={A: 0}, token=token)
        assert store.save(learner, {A: {"x": 1}}, expected={A: 0}, token=token).repeated

    def test_a_second_try_writes_no_other_scope_either(self, store: Store, learner: int) -> None:
        token = uuid4()
        store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}}, token=token)
        store.save(learner, {UserInfo(): {"u": 2}})
        store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}}, token=token)
        assert fields_of(store, learner, UserInfo()) == {"u": 2}

    def test_a_second_try_does_not_break_the_callers_transaction(self, store: Store, learner: int) -> None:
        token = uuid4()
        with transaction.atomic(store.using):
            store.save(learner, {A: {"x": 1}}, token=token)
            assert store.save(learner, {A: {"x": 1}}, token=token).repeated
            store.save(learner, {A: {"y": 1}})
        assert fields_of(store, learner, A) == {"x": 1, "y": 1}
        assert store.read(learner, [A])[A].revision == 2
