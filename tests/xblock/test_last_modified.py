"""Since when a value has not changed, as the cache tells it without a query."""

from __future__ import annotations

import pytest
from django.utils import timezone
from xblock.exceptions import KeyValueMultiSaveError
from xblock.fields import Scope

from tests.conftest import each_engine
from tests.xblock.blocks import FIELDS, LEARNER_SCOPES, Page, key_of
from tests.xblock.counting import at_most

each_scope = pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)


@pytest.fixture
def keys(page, scope):
    """Of two fields of a quiz that was fetched."""
    quiz = page.add()
    return [key_of(quiz, name) for name in FIELDS[scope]]


@each_engine
@each_scope
def test_what_was_never_saved_was_never_modified(alias, page, keys):
    with at_most(0, alias):
        assert [page.cache.last_modified(key) for key in keys] == [None, None]


@each_engine
@each_scope
def test_a_value_is_modified_when_it_is_saved(user, alias, page, keys, scope):
    begun = timezone.now()
    page.kvs.set_many(dict.fromkeys(keys, 1))
    between = timezone.now()
    page.kvs.set(keys[0], 2)
    ended = timezone.now()
    again = Page(user, alias)
    again.add()
    for cache in (page.cache, again.cache):
        with at_most(0, alias):
            changed, kept = map(cache.last_modified, keys)
            assert cache.last_modified(keys[0]._replace(field_name="missing")) is None
        assert between <= changed <= ended
        if scope == Scope.user_state:  # one row has all fields of a block, and knows when it was saved last
            assert kept == changed
        else:
            assert begun <= kept <= between
    assert list(map(page.cache.last_modified, keys)) == list(map(again.cache.last_modified, keys))


@each_engine
@each_scope
def test_a_deleted_value_has_no_time(user, alias, page, keys):
    page.kvs.set_many(dict.fromkeys(keys, 1))
    page.kvs.delete(keys[0])
    again = Page(user, alias)
    again.add()
    for cache in (page.cache, again.cache):
        assert cache.last_modified(keys[0]) is None
        assert cache.last_modified(keys[1]) is not None


@each_engine
@each_scope
def test_a_failed_save_modifies_nothing(page, keys):
    page.kvs.set(keys[0], 1)
    saved = page.cache.last_modified(keys[0])
    for key in keys:
        with pytest.raises(KeyValueMultiSaveError):
            page.kvs.set_many({keys[0]: 2, key: object()})
    assert page.cache.last_modified(keys[0]) == saved
    assert page.cache.last_modified(keys[1]) is None


@each_engine
@each_scope
def test_within_a_page_the_fields_that_are_not_saved_yet_leave_the_others_times_alone(page, keys):
    page.kvs.set_many(dict.fromkeys(keys, 1))
    saved = page.cache.last_modified(keys[1])
    with page.cache.saving_at_the_end():
        page.kvs.set(keys[0], 2)
        assert page.cache.last_modified(keys[1]) == saved
    assert page.cache.last_modified(keys[0]) > saved


@each_engine
@each_scope
def test_within_a_page_a_value_that_was_never_stored_has_no_time(page, keys):
    with page.cache.saving_at_the_end():
        page.kvs.set(keys[0], 1)
        assert page.cache.last_modified(keys[0]) is None
    assert page.cache.last_modified(keys[0]) is not None


@each_engine
@each_scope
def test_what_another_process_saved_is_modified_when_that_did(user, alias, page, keys):
    """As far as a save has taken it up."""
    other = Page(user, alias)
    other.add()
    other.kvs.set(keys[1], 1)
    page.kvs.set(keys[0], 1)
    if page.kvs.has(keys[1]):
        assert page.cache.last_modified(keys[1]) >= other.cache.last_modified(keys[1])
    else:
        assert page.cache.last_modified(keys[1]) is None
