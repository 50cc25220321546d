"""XBlock's field storage over the store, with real XBlock classes, on every engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.test.utils import CaptureQueriesContext
from xblock.core import XBlock
from xblock.exceptions import InvalidScopeError, KeyValueMultiSaveError, XBlockSaveError
from xblock.fields import Dict, Integer, List, Scope, ScopeIds
from xblock.runtime import DictKeyValueStore, KvsFieldData
from xblock.test.tools import TestRuntime

from fieldstone.errors import CrossLearnerError, ReadOnlyError
from fieldstone.store.models import StudentModule, XModuleStudentInfoField
from fieldstone.values import DELETED
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache
from tests.conftest import COURSE, each_engine, usage


class Quiz(XBlock):
    """A block with a field or two in each learner scope."""

    attempts = Integer(scope=Scope.user_state, default=0)
    answers = Dict(scope=Scope.user_state)
    votes = List(scope=Scope.user_state_summary)
    speed = Integer(scope=Scope.preferences)
    language = Integer(scope=Scope.user_info)
    weight = Integer(scope=Scope.settings, default=1)


@pytest.fixture
def user(learner, alias):
    return get_user_model().objects.using(alias).get(pk=learner)


def quiz(cache: FieldDataCache, name: str = "quiz") -> Quiz:
    """A block whose learner fields are in the store."""
    key = usage(name)
    runtime = TestRuntime(services={"field-data": KvsFieldData(DjangoKeyValueStore(cache))})
    block = Quiz(runtime, scope_ids=ScopeIds(cache.user.pk, "quiz", key, key))
    cache.add_blocks_to_cache([block])
    return block


def empty_cache(user, alias, **options) -> FieldDataCache:
    return FieldDataCache([], COURSE, user, using=alias, **options)


def stored(user, alias, name: str = "quiz") -> Quiz:
    """The block as another request sees it."""
    return quiz(empty_cache(user, alias), name)


def key_of(field: str, block: Quiz, **changes):
    key = KvsFieldData(DictKeyValueStore())._key(block, field)
    return key._replace(**changes)


FIELDS = [("attempts", 3), ("answers", {"a": [1]}), ("votes", [1, 2]), ("speed", 5), ("language", None)]
"""A field of each scope, and a value that differs from its default; ``None`` is a value."""


@each_engine
@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_a_value_that_was_set_is_there_for_the_next_request(user, alias, field, value):
    cache = empty_cache(user, alias)
    block = quiz(cache)
    kvs, key = DjangoKeyValueStore(cache), key_of(field, block)
    kvs.set(key, value)
    assert kvs.get(key) == value
    assert kvs.has(key)
    again = empty_cache(user, alias)
    quiz(again)
    assert DjangoKeyValueStore(again).get(key) == value


@each_engine
@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_a_missing_field_is_a_key_error(user, alias, field, value):
    cache = empty_cache(user, alias)
    kvs, key = DjangoKeyValueStore(cache), key_of(field, quiz(cache))
    assert not kvs.has(key)
    with pytest.raises(KeyError):
        kvs.get(key)
    with pytest.raises(KeyError):
        kvs.delete(key)
    kvs.set(key, value)
    kvs.delete(key)
    with pytest.raises(KeyError):
        kvs.get(key)


@each_engine
def test_saving_one_field_keeps_the_blocks_others_in_the_cache(user, alias):
    """In Open edX the block's other cached fields vanish until the next request."""
    block = quiz(empty_cache(user, alias))
    block.attempts, block.answers = 1, {"a": 1}
    block.save()
    fresh = stored(user, alias)
    fresh.attempts = 2
    fresh.save()
    kvs = fresh._field_data._kvs
    assert kvs.get(key_of("answers", fresh)) == {"a": 1}


@each_engine
def test_a_save_takes_up_what_another_process_wrote_since_the_prefetch(user, alias):
    ours, theirs = stored(user, alias), stored(user, alias)
    theirs.answers = {"b": 2}
    theirs.save()
    ours.attempts = 1
    ours.save()
    assert ours._field_data.get(ours, "answers") == {"b": 2}
    assert stored(user, alias).answers == {"b": 2}
    assert stored(user, alias).attempts == 1


@each_engine
def test_a_failed_save_changes_neither_cache_nor_database_and_a_retry_stores_it(user, alias):
    """The database itself refuses: one of the tables of the save is not there."""
    block = quiz(empty_cache(user, alias))
    block.attempts = 1
    block.save()
    block.attempts, block.language = 2, 7
    table = XModuleStudentInfoField._meta.db_table
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
    try:
        with pytest.raises(XBlockSaveError) as caught:
            block.save()
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    assert caught.value.saved_fields == []
    assert {field.name for field in caught.value.dirty_fields} == {"attempts", "language"}
    assert block._field_data.get(block, "attempts") == 1
    assert stored(user, alias).attempts == 1
    block.save()
    assert (stored(user, alias).attempts, stored(user, alias).language) == (2, 7)


@each_engine
def test_a_value_that_cannot_be_stored_fails_the_whole_save(user, alias):
    cache = empty_cache(user, alias)
    block = quiz(cache)
    with pytest.raises(KeyValueMultiSaveError) as caught:
        DjangoKeyValueStore(cache).set_many({key_of("attempts", block): 1, key_of("answers", block): {1, 2}})
    assert caught.value.saved_field_names == []
    assert "answers" in str(caught.value.__cause__)
    assert not StudentModule.objects.using(alias).exists()


@each_engine
@pytest.mark.parametrize("field", ["attempts", "speed", "language"])
def test_anothers_key_is_refused_by_every_call(user, alias, field):
    cache = empty_cache(user, alias)
    kvs, block = DjangoKeyValueStore(cache), quiz(cache)
    key = key_of(field, block, user_id=user.pk + 1)
    for call in (kvs.get, kvs.has, kvs.delete, lambda k: kvs.set(k, 1), lambda k: kvs.set_many({k: 1})):
        with pytest.raises(CrossLearnerError) as caught:
            call(key)
        assert isinstance(caught.value, PermissionDenied)
        assert isinstance(caught.value, AssertionError)


def test_anothers_key_is_refused_also_under_python_O():
    """The check is no assert: ``python -O`` takes those out."""
    code = """
from types import SimpleNamespace
from opaque_keys.edx.locator import CourseLocator
from xblock.fields import Scope
from xblock.runtime import KeyValueStore
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache
from fieldstone.errors import CrossLearnerError
assert False, "asserts are off"
course = CourseLocator("Org", "Course", "Run")
cache = FieldDataCache([], course, SimpleNamespace(pk=1, is_authenticated=True))
try:
    DjangoKeyValueStore(cache).get(KeyValueStore.Key(Scope.user_state, 2, course.make_usage_key("a", "b"), "x"))
except CrossLearnerError:
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-O", "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "refused", done.stderr


@each_engine
@pytest.mark.parametrize("scope", [Scope.content, Scope.settings, Scope.parent, Scope.children])
def test_authored_scopes_are_refused_by_every_call(user, alias, scope):
    cache = empty_cache(user, alias)
    kvs, key = DjangoKeyValueStore(cache), key_of("weight", quiz(cache), scope=scope)
    for call in (kvs.get, kvs.has, kvs.delete, lambda k: kvs.set(k, 1), lambda k: kvs.set_many({k: 1})):
        with pytest.raises(InvalidScopeError):
            call(key)


@each_engine
def test_a_read_only_cache_refuses_to_write(user, alias):
    cache = empty_cache(user, alias, read_only=True)
    with pytest.raises(ReadOnlyError, match="nothing was saved"):
        DjangoKeyValueStore(cache).set(key_of("attempts", quiz(cache)), 1)
    assert not StudentModule.objects.using(alias).exists()


@each_engine
def test_a_mutable_field_that_was_only_read_is_not_written(user, alias):
    block = quiz(empty_cache(user, alias))
    block.answers = {"a": 1}
    block.save()
    fresh = stored(user, alias)
    assert fresh.answers == {"a": 1}
    with CaptureQueriesContext(connections[alias]) as queries:
        fresh.save()
    assert len(queries) == 0


@each_engine
def test_a_mutable_field_changed_in_place_is_written(user, alias):
    block = quiz(empty_cache(user, alias))
    block.answers = {"a": 1}
    block.save()
    block.answers["b"] = 2
    block.save()
    assert stored(user, alias).answers == {"a": 1, "b": 2}


@each_engine
def test_a_prefetch_of_many_blocks_costs_a_query_a_scope_and_reads_cost_none(user, alias):
    for number in range(3):
        block = quiz(empty_cache(user, alias), f"b{number}")
        block.attempts = block.speed = block.language = number + 1
        block.votes = [number]
        block.save()
    cache = empty_cache(user, alias)
    runtime = TestRuntime(services={"field-data": KvsFieldData(DjangoKeyValueStore(cache))})
    keys = [usage(f"b{number}") for number in range(50)]
    blocks = [Quiz(runtime, scope_ids=ScopeIds(user.pk, "quiz", key, key)) for key in keys]
    with CaptureQueriesContext(connections[alias]) as queries:
        cache.add_blocks_to_cache(blocks)
    assert len(queries) == 4, queries.captured_queries
    with CaptureQueriesContext(connections[alias]) as queries:
        values = [(block.attempts, block.votes, block.speed, block.language) for block in blocks[:4]]
        cache.add_blocks_to_cache(blocks)
    assert len(queries) == 0
    assert values == [(1, [0], 3, 3), (2, [1], 3, 3), (3, [2], 3, 3), (0, [], 3, 3)]


@each_engine
def test_a_page_of_blocks_is_saved_at_once(user, alias):
    cache = empty_cache(user, alias)
    blocks = [quiz(cache, f"b{number}") for number in range(20)]
    quiz(cache, "b0")
    for block in blocks:  # the keys are known to the process from here on
        block.attempts = 1
        block.save()
    with CaptureQueriesContext(connections[alias]) as queries, cache.saving_at_the_end():
        for block in blocks:
            block.attempts = 2
            block.save()
            assert block._field_data.get(block, "attempts") == 2
        assert len(queries) == 0
    assert len(queries) <= 4
    assert stored(user, alias, "b19").attempts == 2


@each_engine
def test_a_page_that_fails_saves_nothing_and_the_cache_shows_what_is_stored(user, alias):
    cache = empty_cache(user, alias)
    block = quiz(cache)
    kvs, key = DjangoKeyValueStore(cache), key_of("attempts", block)
    kvs.set(key, 1)
    with pytest.raises(ZeroDivisionError), cache.saving_at_the_end():
        kvs.set(key, 2)
        kvs.set(key, DELETED)
        assert not kvs.has(key)
        raise ZeroDivisionError
    assert kvs.get(key) == 1
    assert stored(user, alias).attempts == 1
    kvs.set(key, 3)
    assert stored(user, alias).attempts == 3


@each_engine
@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_a_block_that_was_never_added_is_read_as_it_is_stored(user, alias, field, value):
    """One query at the first touch, rather than an answer that nothing is there."""
    block = quiz(empty_cache(user, alias))
    DjangoKeyValueStore(empty_cache(user, alias)).set(key_of(field, block), value)
    assert DjangoKeyValueStore(empty_cache(user, alias)).get(key_of(field, block)) == value


@each_engine
def test_a_field_set_on_a_block_that_was_never_added_hides_none_of_its_others(user, alias):
    block = quiz(empty_cache(user, alias))
    cache = empty_cache(user, alias)
    other = key_of("speed", block)._replace(field_name="other")
    DjangoKeyValueStore(empty_cache(user, alias)).set(other, 1)
    DjangoKeyValueStore(cache).set(key_of("speed", block), 2)
    assert DjangoKeyValueStore(cache).get(other) == 1


@each_engine
def test_a_value_changed_after_its_save_is_stored_as_it_was_saved(user, alias):
    """On a page that saves at the end: a change in place without another save is not stored."""
    cache = empty_cache(user, alias)
    kvs, key = DjangoKeyValueStore(cache), key_of("answers", quiz(cache))
    value = {"a": 1}
    with cache.saving_at_the_end():
        kvs.set(key, value)
        value["b"] = 2
        assert kvs.get(key) == {"a": 1}
    assert stored(user, alias).answers == {"a": 1}


@each_engine
def test_a_page_within_a_page_is_saved_with_it(user, alias):
    cache = empty_cache(user, alias)
    kvs, key = DjangoKeyValueStore(cache), key_of("attempts", quiz(cache))
    with cache.saving_at_the_end():
        with cache.saving_at_the_end():
            kvs.set(key, 1)
        assert stored(user, alias).attempts == 0
    assert stored(user, alias).attempts == 1


@each_engine
def test_an_anonymous_visitor_reads_defaults_and_stores_nothing(alias, user):
    cache = FieldDataCache([], COURSE, AnonymousUser(), using=alias)
    block = quiz(cache)
    assert block.attempts == 0
    block.attempts = 1
    with pytest.raises(XBlockSaveError):
        block.save()
    assert not StudentModule.objects.using(alias).exists()
