"""The calls of Open edX's first field storage, over the store."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from xblock.exceptions import InvalidScopeError, KeyValueMultiSaveError
from xblock.fields import BlockScope, Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import FieldstoneError
from fieldstone.store.models import StudentModule
from fieldstone.store.tables import USER_INFO
from fieldstone.xblock import InvalidWriteError, LmsKeyValueStore, ModelDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import (
    AUTHORED_SCOPES,
    FIELDS,
    LEARNER_SCOPES,
    PERSONAL_SCOPES,
    VALUES,
    Chapter,
    Page,
    Quiz,
    key_of,
    keyed,
    stored,
)
from tests.xblock.counting import at_most
from tests.xblock.faults import refused_values
from tests.xblock.refusals import check_refused
from tests.xblock.routers import Everything

BEFORE, AFTER = VALUES

AUTHORED = {
    Scope.content: ("data", "<p>Who?</p>"),
    Scope.settings: ("weight", {"of": [2]}),
    Scope.parent: ("parent", usage("one", "chapter")),
    Scope.children: ("children", [usage("a"), usage("b")]),
}

each_authored_scope = pytest.mark.parametrize("scope", AUTHORED_SCOPES, ids=lambda scope: scope.name)
each_scope = pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)


@pytest.fixture(autouse=True)
def routed(request, settings):
    """The calls of then name no database alias: a router says where they go."""
    if "alias" in request.fixturenames:
        settings.DATABASE_ROUTERS = [Everything(request.getfixturevalue("alias"))]


@pytest.fixture
def quiz(page):
    return page.build(Quiz, usage("quiz", "quiz"))


@pytest.fixture
def mapping():
    return dict(AUTHORED.values())


@pytest.fixture
def kvs(user, quiz, mapping):
    return over(user, quiz, mapping)


def over(user, quiz, mapping):
    return LmsKeyValueStore(mapping, ModelDataCache([quiz], COURSE, user))


def authored_key(scope, name=None):
    return KeyValueStore.Key(scope, None, usage("quiz", "quiz"), name or AUTHORED[scope][0])


def found(kvs, block):
    keys = keyed(block, BEFORE)
    return {key.field_name: kvs.get(key) for key in keys if kvs.has(key)}


# What the author wrote


@each_engine
@each_authored_scope
def test_authored_fields_are_read_from_the_mapping(alias, kvs, scope):
    with at_most(0, alias):
        assert kvs.get(authored_key(scope)) == AUTHORED[scope][1]
        assert kvs.has(authored_key(scope))


@each_engine
@pytest.mark.parametrize("scope", [Scope.content, Scope.settings, Scope.children], ids=lambda scope: scope.name)
def test_an_authored_field_that_the_mapping_has_not_is_a_key_error(alias, kvs, scope):
    """Whatever learner fields of that name there are."""
    key = authored_key(scope, "attempts")
    with at_most(0, alias):
        assert not kvs.has(key)
        with pytest.raises(KeyError, match="attempts"):
            kvs.get(key)


@each_engine
def test_a_block_without_a_parent_has_none(kvs, user, quiz):
    key = authored_key(Scope.parent)
    for store in (kvs, over(user, quiz, {})):
        assert store.has(key)
    assert over(user, quiz, {}).get(key) is None


def test_without_a_cache_there_are_no_fields_of_a_learner():
    """Of a block that no learner looks at."""
    kvs = LmsKeyValueStore(dict(AUTHORED.values()), None)
    assert kvs.get(authored_key(Scope.settings)) == {"of": [2]}
    key = KeyValueStore.Key(Scope.user_state, 1, usage("quiz", "quiz"), "attempts")
    for call in (kvs.get, kvs.has, kvs.delete, lambda key: kvs.set(key, 1), lambda key: kvs.set_many({key: 1})):
        with pytest.raises(InvalidScopeError):
            call(key)


@each_engine
def test_a_course_may_be_given_as_text(user, alias, quiz, mapping):
    kvs = LmsKeyValueStore(mapping, ModelDataCache([quiz], str(COURSE), user))
    kvs.set(key_of(quiz, "attempts"), 3)
    assert stored(user, alias) == {"attempts": 3}


@each_engine
@each_authored_scope
def test_an_authored_field_cannot_be_written(user, alias, kvs, quiz, mapping, scope):
    """Alone or among others: nothing is changed, neither the mapping nor what is stored of the learner."""
    kvs.set_many(keyed(quiz, BEFORE))
    for key in (authored_key(scope), authored_key(scope, "new")):
        for write in (
            lambda k=key: kvs.set(k, 1),
            lambda k=key: kvs.set_many({k: 1}),
            lambda k=key: kvs.set_many({**keyed(quiz, AFTER), k: 1}),
            lambda k=key: kvs.delete(k),
        ):
            with pytest.raises(InvalidWriteError, match=key.field_name):
                write()
    assert mapping == dict(AUTHORED.values())
    assert kvs.get(authored_key(scope)) == AUTHORED[scope][1]
    assert found(kvs, quiz) == stored(user, alias) == BEFORE


def test_the_error_is_one_of_ours():
    assert issubclass(InvalidWriteError, FieldstoneError)


# What the learner did


@each_engine
@pytest.mark.parametrize("name", BEFORE)
def test_the_learners_fields_are_stored(user, alias, kvs, quiz, mapping, name):
    key = key_of(quiz, name)
    assert not kvs.has(key)
    with pytest.raises(KeyError, match=name):
        kvs.get(key)
    with pytest.raises(KeyError, match=name):
        kvs.delete(key)
    for value in (BEFORE[name], AFTER[name]):
        kvs.set(key, value)
        with at_most(0, alias):
            assert kvs.has(key)
            assert kvs.get(key) == value
        assert found(over(user, quiz, mapping), quiz) == {name: value}
    kvs.delete(key)
    assert not kvs.has(key)
    assert found(over(user, quiz, mapping), quiz) == {}


@each_engine
def test_both_generations_read_what_either_wrote(user, alias, kvs, quiz, mapping):
    kvs.set_many(keyed(quiz, BEFORE))
    assert stored(user, alias) == BEFORE
    page = Page(user, alias)
    page.kvs.set_many(keyed(page.add(), AFTER))
    assert found(over(user, quiz, mapping), quiz) == AFTER


@each_engine
def test_a_cache_costs_a_query_a_scope_and_reading_from_it_none(user, alias, kvs, quiz, mapping):
    kvs.set_many(keyed(quiz, BEFORE))
    with at_most(4, alias):
        again = over(user, quiz, mapping)
    with at_most(0, alias):
        assert found(again, quiz) == BEFORE


@each_engine
@each_scope
def test_a_write_costs_what_it_does_in_the_second_generation(alias, kvs, quiz, scope):
    kvs.set_many(keyed(quiz, BEFORE))
    budget = 4 if scope == Scope.user_state else 1
    first, second = (key_of(quiz, name) for name in FIELDS[scope])
    with at_most(budget, alias):
        kvs.set(first, 5)
    with at_most(budget, alias):
        kvs.set_many({first: 6, second: 6})
    with at_most(budget, alias):
        kvs.delete(first)


@each_engine
def test_a_failed_save_leaves_nothing_behind_and_a_retry_works(user, alias, kvs, quiz):
    kvs.set_many(keyed(quiz, BEFORE))
    with refused_values(alias, USER_INFO.name), pytest.raises(KeyValueMultiSaveError) as caught:
        kvs.set_many(keyed(quiz, AFTER))
    assert caught.value.saved_field_names == []
    assert found(kvs, quiz) == stored(user, alias) == BEFORE
    kvs.set_many(keyed(quiz, AFTER))
    assert found(kvs, quiz) == stored(user, alias) == AFTER


@each_engine
def test_another_learners_keys_are_refused(user, another, alias, kvs, quiz):
    theirs = Page(another, alias)
    theirs.kvs.set_many(keyed(theirs.add(), BEFORE))
    for scope in PERSONAL_SCOPES:
        made = check_refused(kvs, key_of(quiz, FIELDS[scope][0], user_id=another.pk))
        assert {"get", "has", "set", "set_many", "delete"} <= set(made)
    assert stored(another, alias) == BEFORE
    with pytest.raises(PermissionDenied):
        kvs.get(key_of(quiz, "attempts", user_id=another.pk))


@each_engine
def test_scopes_that_are_nobodys_are_refused(alias, kvs):
    odd = KeyValueStore.Key(Scope(user=True, block=BlockScope.DEFINITION), None, None, "x")
    for call in (kvs.get, kvs.has, kvs.delete, lambda key: kvs.set(key, 1), lambda key: kvs.set_many({key: 1})):
        with pytest.raises(InvalidScopeError):
            call(odd)
    assert not StudentModule.objects.using(alias).exists()


@each_engine
def test_a_cache_of_descendants_is_filled_to_a_depth_and_through_a_filter(user, alias, page):
    leaf = page.build(Quiz, usage("leaf", "quiz"))
    root = page.build(Chapter, usage("root", "chapter"), (page.build(Chapter, usage("mid", "chapter"), (leaf,)),))
    page.kvs.set(key_of(leaf, "attempts"), 1)
    cache = ModelDataCache.cache_for_descriptor_descendents(
        COURSE, user, root, depth=None, descriptor_filter=lambda block: isinstance(block, Quiz)
    )
    with at_most(0, alias):
        assert LmsKeyValueStore({}, cache).get(key_of(leaf, "attempts")) == 1
    shallow = ModelDataCache.cache_for_descriptor_descendents(COURSE, user, root, 1)
    with at_most(1, alias) as queries:
        LmsKeyValueStore({}, shallow).get(key_of(leaf, "attempts"))
    assert queries.count() == 1
