"""The faults that Fieldstone's ancestors are known for: each test is named after one, and fails on it.

What is right instead has tests of its own in the files beside this one; those of the user state client are in
``test_user_state_client.py``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import transaction
from xblock.exceptions import KeyValueMultiSaveError, XBlockSaveError

from fieldstone.errors import CrossLearnerError, ReadOnlyError
from fieldstone.store.models import StudentModule
from fieldstone.store.tables import PREFERENCES, STATE, SUMMARY, USER_INFO
from fieldstone.xblock import DjangoXBlockUserStateClient, FieldDataCache, LmsKeyValueStore, ModelDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import VALUES, Page, Quiz, key_of, keyed, stored
from tests.xblock.faults import refused_values
from tests.xblock.routers import Everything

REPOSITORY = Path(__file__).parents[2]

BEFORE, AFTER = VALUES
OF_USER_STATE = {name: BEFORE[name] for name in ("attempts", "answers")}
TABLES = [STATE, SUMMARY.name, PREFERENCES.name, USER_INFO.name]


@pytest.fixture
def quiz(page):
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, BEFORE))
    return quiz


@pytest.fixture
def first_generation(user, alias, quiz, settings):
    """An ``LmsKeyValueStore`` over the quiz's fields."""
    settings.DATABASE_ROUTERS = [Everything(alias)]
    return LmsKeyValueStore({}, ModelDataCache([quiz], COURSE, user))


# LmsKeyValueStore, ModelDataCache


@each_engine
@pytest.mark.parametrize("table", TABLES)
def test_a_save_is_partial(user, alias, quiz, first_generation, table):
    """It was made field by field: those before the one that failed were stored."""
    with refused_values(alias, table), pytest.raises(KeyValueMultiSaveError):
        first_generation.set_many(keyed(quiz, AFTER))
    assert stored(user, alias) == BEFORE


@each_engine
@pytest.mark.parametrize("name", ["attempts", "speed", "language"])
def test_nobody_asks_whose_key_it_is(another, alias, quiz, first_generation, name):
    """A key of another learner gave this learner's value, and overwrote it."""
    key = key_of(quiz, name, user_id=another.pk)
    with pytest.raises(CrossLearnerError):
        first_generation.get(key)
    with pytest.raises(CrossLearnerError):
        first_generation.set(key, AFTER[name])
    assert stored(another, alias) == {"tally": 1, "votes": [1]}


# DjangoKeyValueStore, FieldDataCache


@each_engine
def test_a_save_of_one_field_makes_the_blocks_other_fields_vanish(user, alias, quiz):
    """They came back at the next request; until then the block saw defaults, and could save them."""
    page = Page(user, alias)
    block = page.add()
    block.attempts = 2
    block.save()
    assert page.values(block) == BEFORE | {"attempts": 2}
    assert page.build(Quiz, usage("quiz", "quiz")).answers == BEFORE["answers"]


@each_engine
@pytest.mark.parametrize("table", TABLES)
def test_a_failed_save_stays_in_the_cache(alias, page, quiz, table):
    with refused_values(alias, table), pytest.raises(KeyValueMultiSaveError):
        page.kvs.set_many(keyed(quiz, AFTER))
    assert page.values(quiz) == BEFORE


@each_engine
@pytest.mark.parametrize("name", ["attempts", "tally", "speed", "language"])
def test_a_field_that_was_not_saved_is_named_as_saved(user, alias, page, quiz, name):
    """The one that failed was named with those before it, so XBlock never wrote it again."""
    table = dict(zip(["attempts", "tally", "speed", "language"], TABLES, strict=True))[name]
    with refused_values(alias, table), pytest.raises(KeyValueMultiSaveError) as caught:
        page.kvs.set_many(keyed(quiz, AFTER))
    assert caught.value.saved_field_names == []
    setattr(quiz, name, AFTER[name])
    with refused_values(alias, table), pytest.raises(XBlockSaveError):
        quiz.save()
    quiz.save()
    assert stored(user, alias) == BEFORE | {name: AFTER[name]}


def test_the_user_check_is_an_assert(tmp_path):
    """Which `python -O` takes out: the cross-user checks pass under it, on rows that another learner has."""
    done = subprocess.run(
        [sys.executable, "-O", "-W", "ignore", "-m", "tests.xblock.refusals", str(tmp_path / "db.sqlite3")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "99"), done.stderr


@each_engine
def test_a_read_only_cache_drops_writes_silently(user, alias, quiz):
    page = Page(user, alias, read_only=True)
    block = page.add()
    with pytest.raises(ReadOnlyError):
        page.kvs.set(key_of(block, "attempts"), 2)
    with pytest.raises(ReadOnlyError):
        page.kvs.delete(key_of(block, "attempts"))
    block.attempts = 2
    with pytest.raises(ReadOnlyError):
        block.save()
    assert stored(user, alias) == BEFORE


@each_engine
def test_a_get_costs_much(user, alias, quiz):
    """It hashed the usage key, compared scopes one by one and asked for the user: a dozen calls and more."""
    page = Page(user, alias)
    page.use_cache(FieldDataCache([quiz], COURSE, user, using=alias))
    for name, limit in {"attempts": 7, "tally": 7}.items():
        key = key_of(quiz, name)
        page.kvs.get(key)  # the first one reads the row's text
        assert calls_of(lambda k=key: page.kvs.get(k)) <= limit


# History in a second database


@each_engine
def test_saves_that_are_rolled_back_leave_history(user, alias, quiz):
    """It was written by a transaction of its own."""
    page = Page(user, alias)
    block = page.add()
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
        page.kvs.set(key_of(block, "attempts"), 2)
        raise ZeroDivisionError
    assert [entry.state for entry in history_of(block, user, alias)] == [OF_USER_STATE]


@each_engine
def test_committed_deletes_leave_none(user, alias, quiz):
    """The history was deleted with its row."""
    StudentModule.objects.using(alias).get(student=user).delete()
    states = [entry.state for entry in history_of(quiz, user, alias)]
    assert states == [None, OF_USER_STATE]


def history_of(block, user, alias):
    return DjangoXBlockUserStateClient(user, using=alias).get_history(user.username, block.scope_ids.usage_id)


def calls_of(function) -> int:
    """How many functions of Python it calls, itself left out."""
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_qualname) if event == "call" else None)
    try:
        function()
    finally:
        sys.setprofile(None)
    return len(calls) - 1
