"""Calls in another learner's name, or in a scope that is no learner's, are refused."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from xblock.exceptions import InvalidScopeError
from xblock.fields import BlockScope, Scope

from fieldstone.errors import CrossLearnerError
from fieldstone.store.models import StudentModule
from tests.conftest import each_engine
from tests.xblock.blocks import AUTHORED_SCOPES, FIELDS, PERSONAL_SCOPES, VALUES, Page, key_of, keyed, stored
from tests.xblock.refusals import NotRefusedError, calls_with, check_refused, check_whole

ODD_SCOPES = [
    Scope(user=True, block=BlockScope.DEFINITION),
    Scope(user=False, block=BlockScope.TYPE),
    Scope(user=False, block=BlockScope.ALL),
]


@each_engine
def test_another_learners_fields_can_neither_be_read_nor_written(user, another, alias):
    """Under ``python -O`` too: test_faults_of_the_ancestors.py."""
    names = sum(len(FIELDS[scope]) + 1 for scope in PERSONAL_SCOPES)
    calls_of_the_store, calls_of_the_cache, mixed = 5, 5, 1
    assert check_whole(user, another, alias) == names * (calls_of_the_store + calls_of_the_cache + mixed)


@each_engine
@pytest.mark.parametrize("name", ["attempts", "speed", "language"])
def test_the_refusal_is_what_newer_and_older_callers_catch(another, page, name):
    key = key_of(page.add(), name, user_id=another.pk)
    with pytest.raises(
        CrossLearnerError, match=rf"belongs to learner {page.cache.user.pk}.*{another.pk}"
    ) as caught:
        page.kvs.get(key)
    assert isinstance(caught.value, PermissionDenied)
    assert isinstance(caught.value, AssertionError)
    assert (caught.value.asked, caught.value.own) == (another.pk, page.cache.user.pk)


@each_engine
@pytest.mark.parametrize("user_id", [None, "1", 0, -1])
def test_a_key_of_nobody_in_particular_is_refused_too(page, user_id):
    check_refused(page.kvs, key_of(page.add(), "attempts", user_id=user_id))


@each_engine
def test_the_checks_notice_what_is_not_refused(page):
    key = key_of(page.add(), "attempts")
    with pytest.raises(NotRefusedError, match="get"):
        check_refused(page.kvs, key)
    page.kvs.set(key, 1)
    with pytest.raises(NotRefusedError, match="gave 1"):
        check_refused(page.kvs, key)


@each_engine
@pytest.mark.parametrize("scope", [*AUTHORED_SCOPES, *ODD_SCOPES], ids=lambda scope: scope.name or repr(scope))
def test_scopes_that_are_not_the_learners_are_refused_by_every_call(user, alias, page, scope):
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, VALUES[0]))
    key = key_of(quiz, "attempts", scope=scope)
    made = []
    for name, call in calls_with(page.kvs, key):
        with pytest.raises(InvalidScopeError) as caught:
            call()
        assert "Valid scopes are" in caught.value.message
        made.append(name)
    assert sorted(made) == ["delete", "get", "has", "set", "set_many"]
    assert page.values(quiz) == stored(user, alias) == VALUES[0]


@each_engine
def test_one_key_of_a_wrong_scope_refuses_the_save_of_all(alias, page):
    quiz = page.add()
    with pytest.raises(InvalidScopeError):
        page.kvs.set_many({key_of(quiz, "attempts"): 1, key_of(quiz, "weight"): 2})
    assert not page.kvs.has(key_of(quiz, "attempts"))
    assert not StudentModule.objects.using(alias).exists()


@each_engine
def test_a_summary_is_nobodys(user, another, alias, page):
    """Whatever learner a key names, or none: all see one value."""
    quiz = page.add()
    page.kvs.set(key_of(quiz, "tally"), 3)
    assert key_of(quiz, "tally").user_id is None
    for user_id in (None, user.pk, another.pk):
        assert page.kvs.get(key_of(quiz, "tally", user_id=user_id)) == 3
    other = Page(another, alias)
    assert other.values(other.add()) == {"tally": 3}
    other.kvs.set(key_of(quiz, "tally", user_id=user.pk), 4)
    assert stored(user, alias) == {"tally": 4}
