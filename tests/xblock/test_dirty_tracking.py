"""XBlock's own tracking of what a block changed, over the field storage."""

from __future__ import annotations

import pytest
from xblock.exceptions import XBlockSaveError

from fieldstone.store import Store
from tests.conftest import each_engine
from tests.xblock.blocks import VALUES, Page, keyed, stored
from tests.xblock.counting import at_most

BEFORE, AFTER = VALUES
MUTABLE = ["answers", "votes", "shown", "badges"]


@pytest.fixture
def quiz(user, alias, page):
    """A quiz of the next request, with a value in every field."""
    page.kvs.set_many(keyed(page.add(), BEFORE))
    return Page(user, alias).add()


@each_engine
def test_mutable_fields_that_were_only_read_are_not_written(user, alias, quiz):
    assert {name: getattr(quiz, name) for name in MUTABLE} == {name: BEFORE[name] for name in MUTABLE}
    with at_most(0, alias):
        quiz.save()
    assert [revision.number for revision in Store(alias).history(user, quiz.scope_ids.usage_id)] == [1]


@each_engine
def test_mutable_defaults_that_were_only_read_are_not_written(user, alias, page):
    quiz = page.add()
    assert [getattr(quiz, name) for name in MUTABLE] == [{}, [], {}, []]
    with at_most(0, alias):
        quiz.save()
    assert stored(user, alias) == {}


@each_engine
@pytest.mark.parametrize("name", MUTABLE)
def test_a_mutable_field_that_was_changed_in_place_is_written_and_no_other(user, alias, quiz, name):
    value = getattr(quiz, name)
    value.append(7) if isinstance(value, list) else value.update(new=[7])
    assert stored(user, alias) == BEFORE
    quiz.save()
    changed = BEFORE[name] + [7] if isinstance(value, list) else BEFORE[name] | {"new": [7]}
    assert stored(user, alias) == BEFORE | {name: changed}
    with at_most(0, alias):
        quiz.save()


@each_engine
def test_a_change_deep_in_a_value_is_written(user, alias, quiz):
    quiz.answers["a"].append(2)
    quiz.save()
    quiz.answers["a"].append(3)
    quiz.save()
    assert stored(user, alias)["answers"] == {"a": [1, 2, 3]}


@each_engine
def test_a_field_is_written_when_it_is_set_and_not_when_it_is_set_to_what_it_is(user, alias, quiz):
    assert quiz.attempts == BEFORE["attempts"]
    quiz.attempts = BEFORE["attempts"]
    with at_most(0, alias):
        quiz.save()
    quiz.attempts, quiz.language = 2, "en"
    quiz.save()
    assert stored(user, alias) == BEFORE | {"attempts": 2, "language": "en"}


@each_engine
@pytest.mark.parametrize("name", BEFORE)
def test_a_deleted_field_is_its_default_again(user, alias, page, name):
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, BEFORE))
    setattr(quiz, name, AFTER[name])
    delattr(quiz, name)
    assert getattr(quiz, name) == type(quiz).fields[name].default
    quiz.save()
    assert stored(user, alias) == {n: value for n, value in BEFORE.items() if n != name}
    delattr(quiz, name)  # what is not there may be deleted
    assert not type(quiz).fields[name].is_set_on(quiz)


@each_engine
def test_two_requests_that_change_different_fields_of_a_block_keep_both(user, alias, quiz):
    other = Page(user, alias).add()
    quiz.attempts, other.answers = 5, {"b": 2}
    quiz.save()
    other.save()
    assert stored(user, alias) == BEFORE | {"attempts": 5, "answers": {"b": 2}}


@each_engine
def test_a_value_that_cannot_be_stored_leaves_all_fields_to_be_saved(user, alias, quiz):
    quiz.attempts, quiz.answers = 5, {"a": object()}
    with pytest.raises(XBlockSaveError) as caught:
        quiz.save()
    assert caught.value.saved_fields == []
    assert {field.name for field in caught.value.dirty_fields} == {"attempts", "answers"}
    assert stored(user, alias) == BEFORE
    quiz.answers = {"a": 2}
    quiz.save()
    assert stored(user, alias) == BEFORE | {"attempts": 5, "answers": {"a": 2}}


@each_engine
def test_fields_may_be_saved_though_they_are_not_dirty(user, alias, quiz):
    assert quiz.attempts == BEFORE["attempts"]
    Page(user, alias).add().force_save_fields([])
    Page(user, alias).kvs.set_many(keyed(quiz, {"attempts": 9}))
    quiz.force_save_fields(["attempts"])
    assert stored(user, alias) == BEFORE
