"""Caches that are not to be written to, and visitors who have no state."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from xblock.exceptions import KeyValueMultiSaveError, XBlockSaveError

from fieldstone.errors import InvalidLearnerError, ReadOnlyError
from fieldstone.store import Grade
from fieldstone.store.models import StudentModule
from tests.conftest import each_engine
from tests.xblock.blocks import FIELDS, PERSONAL_SCOPES, VALUES, Page, key_of, keyed, stored
from tests.xblock.counting import at_most

BEFORE, AFTER = VALUES


@pytest.fixture
def quiz(page):
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, BEFORE))
    return quiz


def writes_of(page, block):
    """Every way to write through a cache."""
    block.attempts += 1
    keys = [key_of(block, name) for name in BEFORE]
    return [
        *(lambda k=key: page.kvs.set(k, 9) for key in keys),
        *(lambda k=key: page.kvs.delete(k) for key in keys),
        lambda: page.kvs.set_many(dict.fromkeys(keys, 9)),
        lambda: page.cache.set_many(dict.fromkeys(keys, 9)),
        lambda: page.cache.save_many([block]),
        lambda: page.cache.save_grade(block.scope_ids.usage_id, Grade(1, 1)),
        block.save,
    ]


@each_engine
def test_a_read_only_cache_reads_and_refuses_to_write(user, alias, quiz):
    page = Page(user, alias, read_only=True)
    block = page.add()
    for write in writes_of(page, block):
        with pytest.raises(ReadOnlyError, match="read-only"):
            write()
    assert page.values(block) == stored(user, alias) == BEFORE
    assert StudentModule.objects.using(alias).get().grade is None


@each_engine
def test_a_read_only_cache_that_ignores_writes_reads_and_writes_nothing(user, alias, quiz):
    """The older mode, which has to be asked for."""
    page = Page(user, alias, read_only=True, ignore_writes=True)
    block = page.add()
    for write in writes_of(page, block):
        with at_most(0, alias):
            write()
    assert page.values(block) == stored(user, alias) == BEFORE
    assert StudentModule.objects.using(alias).get().grade is None


@each_engine
def test_ignoring_writes_is_of_read_only_caches_alone(user, alias, quiz):
    page = Page(user, alias, ignore_writes=True)
    page.kvs.set(key_of(page.add(), "attempts"), 5)
    assert stored(user, alias)["attempts"] == 5


# Anonymous visitors


@pytest.fixture
def visit(alias, quiz):
    return Page(AnonymousUser(), alias)


@each_engine
def test_an_anonymous_visitor_sees_what_is_everybodys_and_defaults(visit, alias):
    with at_most(1, alias):
        block = visit.add()
    with at_most(0, alias):
        found = {name: getattr(block, name) for name in BEFORE}
    assert found == {
        **{"attempts": 0, "answers": {}, "tally": 1, "votes": [1], "speed": 1.0, "shown": {}},
        **{"language": None, "badges": []},
    }


@each_engine
@pytest.mark.parametrize("scope", PERSONAL_SCOPES, ids=lambda scope: scope.name)
def test_an_anonymous_visitor_stores_nothing_and_is_told_so(user, visit, alias, scope):
    block = visit.add()
    first, second = FIELDS[scope]
    with pytest.raises(KeyValueMultiSaveError) as caught:
        visit.kvs.set(key_of(block, first), AFTER[first])
    assert caught.value.saved_field_names == []
    assert isinstance(caught.value.__cause__, InvalidLearnerError)
    setattr(block, second, AFTER[second])
    with pytest.raises(XBlockSaveError):
        block.save()
    assert not visit.kvs.has(key_of(block, first))
    assert not visit.kvs.has(key_of(block, second))
    assert stored(user, alias) == BEFORE


@each_engine
def test_of_an_anonymous_save_nothing_is_stored_if_any_of_it_is_a_learners(user, visit, alias):
    block = visit.add()
    with pytest.raises(KeyValueMultiSaveError):
        visit.kvs.set_many(keyed(block, AFTER))
    assert visit.values(block) == {"tally": 1, "votes": [1]}
    assert stored(user, alias) == BEFORE


@each_engine
def test_an_anonymous_visitor_may_write_what_is_everybodys(user, visit, alias):
    block = visit.add()
    block.tally += 1
    block.save()
    assert stored(user, alias) == BEFORE | {"tally": 2}


@each_engine
def test_a_key_of_anothers_shows_an_anonymous_visitor_nothing(user, visit, alias):
    block = visit.add()
    for scope in PERSONAL_SCOPES:
        key = key_of(block, FIELDS[scope][0], user_id=user.pk)
        assert not visit.kvs.has(key)
        assert visit.cache.last_modified(key) is None
        with pytest.raises(KeyError):
            visit.kvs.get(key)
        with pytest.raises(KeyValueMultiSaveError):
            visit.kvs.set(key, 9)
    assert stored(user, alias) == BEFORE
