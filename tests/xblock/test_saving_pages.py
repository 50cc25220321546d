"""A page of blocks is one save: whole or not at all."""

from __future__ import annotations

import pytest
from xblock.exceptions import XBlockSaveError

from fieldstone.errors import CrossLearnerError
from fieldstone.store import Grade, Store
from fieldstone.store.models import StudentModule
from fieldstone.values import DELETED
from tests.conftest import each_engine, usage
from tests.xblock.blocks import VALUES, Page, Quiz, key_of, keyed, stored
from tests.xblock.counting import at_most

BEFORE, AFTER = VALUES


@pytest.fixture
def blocks(page):
    """Twenty quizzes with a value in every field."""
    blocks = [page.add(f"b{n}") for n in range(20)]
    page.kvs.set_many({key: value for block in blocks for key, value in keyed(block, BEFORE).items()})
    return blocks


def change(blocks):
    for number, block in enumerate(blocks):
        block.attempts, block.tally = number + 10, number
        block.answers["a"].append(number)
    blocks[0].language = "en"


def assert_changed(user, alias):
    for number in range(20):
        expected = {"attempts": number + 10, "tally": number, "answers": {"a": [1, number]}, "language": "en"}
        assert stored(user, alias, f"b{number}") == BEFORE | expected


@each_engine
def test_a_page_is_saved_in_as_many_queries_as_a_block(user, alias, page, blocks):
    change(blocks)
    with at_most(4 + 2, alias):
        page.cache.save_many(blocks)
    assert_changed(user, alias)
    with at_most(0, alias):
        page.cache.save_many(blocks)


@each_engine
def test_of_a_page_only_what_is_dirty_is_saved(user, alias, page, blocks):
    assert [block.answers for block in blocks] == [BEFORE["answers"]] * 20
    blocks[3].attempts = 5
    with at_most(4, alias):
        page.cache.save_many(blocks)
    counts = [len(Store(alias).history(user, block.scope_ids.usage_id)) for block in blocks]
    assert counts == [1, 1, 1, 2] + [1] * 16


@each_engine
def test_a_page_without_blocks_or_changes_costs_nothing(alias, page, blocks):
    with at_most(0, alias):
        page.cache.save_many([])
        page.cache.save_many(iter(blocks))


@each_engine
def test_a_page_with_a_value_that_cannot_be_stored_saves_nothing_until_it_is_mended(user, alias, page, blocks):
    change(blocks)
    blocks[19].badges = [object()]
    with pytest.raises(XBlockSaveError) as caught:
        page.cache.save_many(blocks)
    assert list(caught.value.saved_fields) == []
    assert {field.name for field in caught.value.dirty_fields} >= {
        "attempts",
        "tally",
        "answers",
        "language",
        "badges",
    }
    assert [page.values(block) for block in blocks] == [BEFORE] * 20
    assert [stored(user, alias, f"b{n}") for n in range(20)] == [BEFORE] * 20
    blocks[19].badges = BEFORE["badges"]
    page.cache.save_many(blocks)
    assert_changed(user, alias)


@each_engine
def test_a_block_of_another_learner_keeps_the_page_from_being_saved(user, another, alias, page, blocks):
    change(blocks)
    theirs = Quiz(page, scope_ids=blocks[0].scope_ids._replace(user_id=another.pk, usage_id=usage("b5", "quiz")))
    theirs._field_data_cache["attempts"], theirs._dirty_fields[Quiz.fields["attempts"]] = 99, 0
    with pytest.raises(CrossLearnerError):
        page.cache.save_many([*blocks, theirs])
    assert [stored(user, alias, f"b{n}") for n in range(20)] == [BEFORE] * 20
    assert not StudentModule.objects.using(alias).filter(student_id=another.pk).exists()
    page.cache.save_many(blocks)
    assert_changed(user, alias)


# All that is saved within


@each_engine
def test_what_is_saved_within_a_page_is_seen_at_once_and_stored_at_its_end(user, alias, page, blocks):
    with at_most(4 + 2, alias) as queries, page.cache.saving_at_the_end():
        change(blocks)
        for block in blocks:
            block.save()
        assert page.values(blocks[7])["attempts"] == 17
        assert queries.count() == 0
    assert_changed(user, alias)


@each_engine
def test_a_page_that_fails_saves_nothing_and_the_cache_shows_what_is_stored(user, alias, page, blocks):
    keys = keyed(blocks[0], AFTER)
    with pytest.raises(ZeroDivisionError), page.cache.saving_at_the_end():
        page.kvs.set_many(keys)
        page.cache.save_grade(blocks[0].scope_ids.usage_id, Grade(1, 2))
        for key in keys:
            page.kvs.set(key, DELETED)
            assert not page.kvs.has(key)
        raise ZeroDivisionError
    assert page.values(blocks[0]) == stored(user, alias, "b0") == BEFORE
    page.kvs.set_many(keys)
    assert stored(user, alias, "b0") == AFTER
    assert not StudentModule.objects.using(alias).exclude(grade=None).exists()


@each_engine
def test_a_value_changed_after_its_save_is_stored_as_it_was_saved(user, alias, page, blocks):
    value = {"a": 1}
    with page.cache.saving_at_the_end():
        page.kvs.set(key_of(blocks[0], "answers"), value)
        value["b"] = 2
        assert page.kvs.get(key_of(blocks[0], "answers")) == {"a": 1}
    assert stored(user, alias, "b0")["answers"] == {"a": 1}


@each_engine
def test_a_page_within_a_page_is_saved_with_it(user, alias, page, blocks):
    with page.cache.saving_at_the_end():
        with page.cache.saving_at_the_end():
            page.kvs.set(key_of(blocks[0], "attempts"), 5)
        blocks[1].attempts = 6
        page.cache.save_many(blocks)
        assert stored(user, alias, "b0") == stored(user, alias, "b1") == BEFORE
    assert [stored(user, alias, name)["attempts"] for name in ("b0", "b1")] == [5, 6]


@each_engine
def test_a_page_within_a_page_that_fails_leaves_nothing_to_the_page_around_it(user, alias, page, blocks):
    """Whose other saves are made: the caller has caught the error."""
    with page.cache.saving_at_the_end():
        page.kvs.set(key_of(blocks[5], "attempts"), 5)
        blocks[0].attempts, blocks[1].badges = 7, [object()]
        with pytest.raises(XBlockSaveError) as caught:
            page.cache.save_many(blocks[:2])
        assert {field.name for field in caught.value.dirty_fields} == {"attempts", "badges"}
        assert page.values(blocks[0]) == BEFORE
    assert stored(user, alias, "b0") == BEFORE
    assert stored(user, alias, "b5") == BEFORE | {"attempts": 5}
    blocks[1].badges = ["mended"]
    page.cache.save_many(blocks[:2])
    assert stored(user, alias, "b0") == BEFORE | {"attempts": 7, "badges": ["mended"]}


@each_engine
def test_a_page_within_a_page_that_fails_uncovers_what_the_page_around_it_had_saved(user, alias, page, blocks):
    usage_key = blocks[0].scope_ids.usage_id
    with page.cache.saving_at_the_end():
        page.kvs.set(key_of(blocks[0], "attempts"), 5)
        page.cache.save_grade(usage_key, Grade(1, 2))
        with pytest.raises(KeyboardInterrupt), page.cache.saving_at_the_end():
            page.kvs.set_many(keyed(blocks[0], AFTER))
            page.cache.save_grade(usage_key, Grade(2, 2))
            raise KeyboardInterrupt
        assert page.values(blocks[0]) == BEFORE | {"attempts": 5}
    assert stored(user, alias, "b0") == BEFORE | {"attempts": 5}
    assert Store(alias).read(user, [usage_key])[usage_key].grade == 1.0


@each_engine
def test_a_block_that_is_named_twice_in_a_page_that_fails_is_still_dirty(user, alias, page, blocks):
    change(blocks)
    blocks[19].badges = [object()]
    with pytest.raises(XBlockSaveError):
        page.cache.save_many([blocks[0], blocks[0], blocks[19]])
    blocks[19].badges = BEFORE["badges"]
    page.cache.save_many(blocks)
    assert_changed(user, alias)


@each_engine
def test_what_became_dirty_between_two_tries_is_dirty_when_the_page_around_them_fails(user, alias, page, blocks):
    blocks[0].attempts, blocks[1].badges = 7, [object()]
    with pytest.raises(ZeroDivisionError), page.cache.saving_at_the_end():
        with pytest.raises(XBlockSaveError):
            page.cache.save_many(blocks[:2])
        blocks[0].language, blocks[1].badges = "en", ["mended"]
        page.cache.save_many(blocks[:2])
        raise ZeroDivisionError
    assert stored(user, alias, "b0") == BEFORE
    page.cache.save_many(blocks[:2])
    assert stored(user, alias, "b0") == BEFORE | {"attempts": 7, "language": "en", "badges": ["mended"]}


@each_engine
def test_grades_of_a_page_are_saved_with_its_fields(user, alias, page, blocks):
    with at_most(4 + 1, alias), page.cache.saving_at_the_end():  # on SQLite graded blocks go by themselves
        page.kvs.set(key_of(blocks[0], "attempts"), 5)
        page.cache.save_grade(blocks[1].scope_ids.usage_id, Grade(1, 2))
    states = Store(alias).read(user, [blocks[0].scope_ids.usage_id, blocks[1].scope_ids.usage_id])
    assert [(state.fields["attempts"], state.grade) for state in states.values()] == [(5, None), (1, 1.0)]


@each_engine
def test_the_origin_of_a_cache_is_kept_in_the_history(user, alias):
    page = Page(user, alias, origin="handler:vote")
    quiz = page.add()
    page.kvs.set(key_of(quiz, "attempts"), 1)
    assert [revision.origin for revision in Store(alias).history(user, quiz.scope_ids.usage_id)] == [
        "handler:vote"
    ]
