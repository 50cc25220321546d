"""A save that is tried again because nobody knows whether it arrived, on every engine."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import transaction

from fieldstone.errors import ConflictError, InvalidTokenError
from fieldstone.store import Grade, UserInfo
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")


@each_engine
def test_a_save_that_is_tried_again_is_written_once(store, learner):
    token = uuid4()
    first = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(1, 1)}, token=token)
    store.save(learner, {A: {"x": 2}})
    again = store.save(learner, {A: {"x": 1}, B: {"y": 1}}, grades={A: Grade(1, 1)}, token=token)
    assert (first.repeated, again.repeated) == (False, True)
    assert dict(again.states[A].fields) == {"x": 2}, "what was saved after it stays"
    assert [revision.number for revision in store.history(learner, A)] == [2, 1]
    assert [revision.number for revision in store.history(learner, B)] == [1]


@each_engine
@pytest.mark.parametrize("token", ["a" * 32, 7, UUID(int=1), UUID("2f3e9786-a457-a917-352b-e67cdbd76923")])
def test_what_is_no_token_is_refused_before_anything_is_written(store, learner, token):
    with pytest.raises(InvalidTokenError, match="uuid4"):
        store.save(learner, {A: {"x": 1}}, token=token)
    assert store.read(learner, [A]) == {}


@each_engine
def test_other_tokens_and_none_are_other_saves(store, learner):
    for token in (uuid4(), uuid4(), None, None):
        assert not store.save(learner, {A: {"x": 1}}, token=token).repeated
    assert store.read(learner, [A])[A].revision == 4


@each_engine
def test_a_token_is_one_learners(store, learner):
    token = uuid4()
    store.save(learner, {A: {"x": 1}}, token=token)
    assert not store.save(learner + 1, {A: {"x": 1}}, token=token).repeated


@each_engine
def test_a_try_that_failed_leaves_its_token_free(store, learner):
    store.save(learner, {A: {"x": 1}})
    token = uuid4()
    with pytest.raises(ConflictError):
        store.save(learner, {A: {"x": 2}}, expected={A: 0}, token=token)
    assert not store.save(learner, {A: {"x": 2}}, expected={A: 1}, token=token).repeated
    assert dict(store.read(learner, [A])[A].fields) == {"x": 2}


@each_engine
def test_a_second_try_is_no_conflict(store, learner):
    """It expects the revision that its first try had read."""
    token = uuid4()
    store.save(learner, {A: {"x": 1}}, expected={A: 0}, token=token)
    assert store.save(learner, {A: {"x": 1}}, expected={A: 0}, token=token).repeated


@each_engine
def test_a_second_try_writes_no_other_scope_either(store, learner):
    token = uuid4()
    store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}}, token=token)
    store.save(learner, {UserInfo(): {"u": 2}})
    store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}}, token=token)
    assert dict(store.read(learner, [UserInfo()])[UserInfo()].fields) == {"u": 2}


@each_engine
def test_a_second_try_does_not_break_the_callers_transaction(store, learner, alias):
    token = uuid4()
    with transaction.atomic(alias):
        store.save(learner, {A: {"x": 1}}, token=token)
        assert store.save(learner, {A: {"x": 1}}, token=token).repeated
        store.save(learner, {A: {"y": 1}})
    assert dict(store.read(learner, [A])[A].fields) == {"x": 1, "y": 1}
    assert store.read(learner, [A])[A].revision == 2
