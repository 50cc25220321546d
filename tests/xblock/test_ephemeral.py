"""Field data that is kept for a while: authors' previews, in a region."""

from __future__ import annotations

import pytest
from xblock.fields import BlockScope, Scope, ScopeIds
from xblock.runtime import KeyValueStore, KvsFieldData
from xblock.test.tools import TestRuntime

from fieldstone.errors import InvalidValueError
from fieldstone.kvs import Region
from fieldstone.xblock import EphemeralKeyValueStore
from tests.conftest import usage
from tests.xblock.blocks import AUTHORED_SCOPES, LEARNER_SCOPES, VALUES, Quiz, key_of, keyed

BEFORE, AFTER = VALUES


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def region(clock):
    return Region("previews").configure("memory", serializer="json", clock=clock)


@pytest.fixture
def kvs(region):
    return EphemeralKeyValueStore(region, ttl=60)


def quiz_over(kvs, user_id=1):
    """A block whose fields, of whatever scope, are in the region."""
    key = usage("quiz", "quiz")
    runtime = TestRuntime(services={"field-data": KvsFieldData(kvs)})
    return Quiz(runtime, scope_ids=ScopeIds(user_id, "quiz", key, key))


@pytest.mark.parametrize("name", BEFORE)
def test_a_value_is_there_for_the_next_request(region, kvs, name):
    key = key_of(quiz_over(kvs), name)
    assert not kvs.has(key)
    for call in (kvs.get, kvs.delete):
        with pytest.raises(KeyError, match=name):
            call(key)
    for value in (BEFORE[name], AFTER[name]):
        kvs.set(key, value)
        again = EphemeralKeyValueStore(region)
        assert again.has(key)
        assert again.get(key) == value
    kvs.delete(key)
    assert not kvs.has(key)


def test_a_block_reads_and_saves_as_it_does_elsewhere(region, kvs):
    quiz = quiz_over(kvs)
    quiz.attempts, quiz.language = 3, None
    quiz.answers["a"] = [1]
    quiz.save()
    again = quiz_over(EphemeralKeyValueStore(region))
    assert (again.attempts, again.language, again.answers, again.votes) == (3, None, {"a": [1]}, [])
    del again.attempts
    assert quiz_over(kvs).attempts == 0


def test_what_is_read_is_a_copy_and_so_is_what_is_kept(kvs):
    key, value = key_of(quiz_over(kvs), "answers"), {"a": [1]}
    kvs.set(key, value)
    value["a"].append(2)
    kvs.get(key)["a"].append(3)
    assert kvs.get(key) == {"a": [1]}


def test_a_value_is_kept_from_when_it_was_set_last_and_no_longer(clock, kvs):
    early, late = (key_of(quiz_over(kvs), name) for name in ("attempts", "answers"))
    kvs.set_many({early: 1, late: 1})
    clock.now += 59
    kvs.set(late, 2)
    assert (kvs.get(early), kvs.get(late)) == (1, 2)
    clock.now += 1
    assert not kvs.has(early)
    with pytest.raises(KeyError):
        kvs.get(early)
    assert kvs.get(late) == 2
    clock.now += 59
    assert not kvs.has(late)


def test_a_preview_lives_for_a_day_unless_told_otherwise(clock, region):
    kvs = EphemeralKeyValueStore(region)
    key = key_of(quiz_over(kvs), "attempts")
    kvs.set(key, 1)
    clock.now += 24 * 60 * 60 - 1
    assert kvs.has(key)
    clock.now += 1
    assert not kvs.has(key)


def test_every_scope_is_kept_apart(kvs):
    """A preview's author may change what the author wrote, too."""
    key = key_of(quiz_over(kvs), "attempts")
    scopes = [*LEARNER_SCOPES, *AUTHORED_SCOPES]
    kvs.set_many({key._replace(scope=scope): number for number, scope in enumerate(scopes)})
    assert [kvs.get(key._replace(scope=scope)) for scope in scopes] == list(range(len(scopes)))


def test_scopes_without_a_name_of_their_own_are_kept_apart(kvs):
    blocks = (BlockScope.DEFINITION, BlockScope.ALL)
    odd = [Scope(user=user, block=block) for user in (True, False) for block in blocks]
    keys = [KeyValueStore.Key(scope, 1, "x", "name") for scope in odd]
    kvs.set_many({key: number for number, key in enumerate(keys)})
    assert [kvs.get(key) for key in keys] == list(range(4))


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": 2},
        {"user_id": "1"},
        {"user_id": None},
        {"block_scope_id": usage("other", "quiz")},
        {"block_scope_id": None},
        {"field_name": "other"},
        {"block_family": "xblock_asides.v1"},
    ],
    ids=str,
)
def test_another_key_is_another_value(kvs, change):
    key = key_of(quiz_over(kvs), "attempts")
    kvs.set(key, 1)
    assert not kvs.has(key._replace(**change))
    kvs.set(key._replace(**change), 2)
    assert kvs.get(key) == 1


def test_no_part_of_a_key_runs_into_the_next(kvs):
    """However much text looks like what stands between them."""
    one = KeyValueStore.Key(Scope.user_info, 1, 'a", "b', "c")
    other = KeyValueStore.Key(Scope.user_info, 1, "a", 'b", "c')
    kvs.set(one, 1)
    assert not kvs.has(other)


def test_learners_share_what_their_scope_shares_and_nothing_else(kvs):
    ada, bob = quiz_over(kvs, 1), quiz_over(kvs, 2)
    kvs.set_many(keyed(ada, BEFORE))
    assert {name for name in BEFORE if kvs.has(key_of(bob, name))} == {"tally", "votes"}


def test_a_value_that_json_cannot_write_leaves_what_was_there(kvs):
    key = key_of(quiz_over(kvs), "answers")
    kvs.set(key, {"a": 1})
    with pytest.raises(InvalidValueError):
        kvs.set(key, {"a": object()})
    assert kvs.get(key) == {"a": 1}


def test_without_a_region_values_are_in_the_memory_of_the_process():
    name = "test_without_a_region"
    key = key_of(quiz_over(EphemeralKeyValueStore()), "attempts", field_name=name)
    EphemeralKeyValueStore().set(key, 5)
    assert EphemeralKeyValueStore().get(key) == 5
    EphemeralKeyValueStore().delete(key)
    assert not EphemeralKeyValueStore().has(key)
