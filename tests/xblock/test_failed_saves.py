"""A save that the database refuses leaves nothing behind, and can be made again; faults are the database's own."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections, transaction
from xblock.exceptions import KeyValueMultiSaveError, XBlockSaveError

from fieldstone.errors import InvalidValueError
from fieldstone.store import Store
from fieldstone.store.tables import PREFERENCES, STATE, SUMMARY, USER_INFO
from fieldstone.store.usages import forget_all
from fieldstone.testing.faults import at_statement, cut_at
from scripts.servers.system import free_port
from tests.conftest import each_engine, each_server
from tests.faults.elsewhere import leading_elsewhere
from tests.xblock.blocks import FIELDS, VALUES, Page, Quiz, key_of, keyed, stored
from tests.xblock.counting import at_most
from tests.xblock.faults import FAULTS, missing_table, refused_values

BEFORE, AFTER = VALUES
TABLES = [STATE, SUMMARY.name, PREFERENCES.name, USER_INFO.name]
"""In the order of a save: when the last one fails, the others have been written already."""


def table_of(name):
    return next(table for table, names in zip(TABLES, FIELDS.values(), strict=True) if name in names)


each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@pytest.fixture
def quiz(page):
    """A quiz with a value in every field."""
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, BEFORE))
    return quiz


def refuse(call, *arguments):
    """The call raises as XBlock expects it, and says that no field is stored."""
    with pytest.raises(KeyValueMultiSaveError) as caught:
        call(*arguments)
    assert caught.value.saved_field_names == []
    return caught.value.__cause__


@each_engine
@pytest.mark.parametrize("table", TABLES)
@each_fault
def test_a_failed_save_shows_the_old_values_in_every_scope_and_a_retry_stores_the_new(
    user, alias, page, quiz, fault, table
):
    with fault(alias, table):
        assert isinstance(refuse(page.kvs.set_many, keyed(quiz, AFTER)), DatabaseError)
        with at_most(0, alias):
            assert page.values(quiz) == BEFORE
    assert page.values(quiz) == BEFORE
    assert stored(user, alias) == BEFORE
    page.kvs.set_many(keyed(quiz, AFTER))
    assert page.values(quiz) == AFTER
    assert stored(user, alias) == AFTER


@each_engine
@pytest.mark.parametrize("name", BEFORE)
def test_a_failed_set_of_one_field_changes_nothing(user, alias, page, quiz, name):
    key = key_of(quiz, name)
    with refused_values(alias, table_of(name)):
        assert isinstance(refuse(page.kvs.set, key, AFTER[name]), DatabaseError)
        assert isinstance(refuse(page.kvs.set, key._replace(field_name="new"), 1), DatabaseError)
        assert not page.kvs.has(key._replace(field_name="new"))
    assert page.values(quiz) == stored(user, alias) == BEFORE
    page.kvs.set(key, AFTER[name])
    assert page.values(quiz) == stored(user, alias) == BEFORE | {name: AFTER[name]}


@each_engine
@pytest.mark.parametrize("name", BEFORE)
def test_a_failed_delete_leaves_the_field(user, alias, page, quiz, name):
    with missing_table(alias, table_of(name)):
        assert isinstance(refuse(page.kvs.delete, key_of(quiz, name)), DatabaseError)
        assert page.values(quiz) == BEFORE
    page.kvs.delete(key_of(quiz, name))
    assert page.values(quiz) == stored(user, alias) == {n: v for n, v in BEFORE.items() if n != name}


@each_engine
def test_the_first_save_of_all_that_fails_leaves_nothing(user, alias, page):
    quiz = page.add()
    with refused_values(alias, USER_INFO.name):
        refuse(page.kvs.set_many, keyed(quiz, AFTER))
    assert page.values(quiz) == stored(user, alias) == {}
    page.kvs.set_many(keyed(quiz, AFTER))
    assert page.values(quiz) == stored(user, alias) == AFTER


@each_engine
@pytest.mark.parametrize("name", ["answers", "votes", "shown", "badges"])
def test_a_value_that_json_cannot_write_fails_the_whole_save(user, alias, page, quiz, name):
    cause = refuse(page.kvs.set_many, keyed(quiz, AFTER | {name: {1, 2}}))
    assert isinstance(cause, InvalidValueError)
    assert cause.field == name
    assert page.values(quiz) == stored(user, alias) == BEFORE


@each_engine
def test_a_failed_save_leaves_no_revision(user, alias, page, quiz):
    with refused_values(alias, USER_INFO.name):
        refuse(page.kvs.set_many, keyed(quiz, AFTER))
    assert [revision.number for revision in Store(alias).history(user, quiz.scope_ids.usage_id)] == [1]


@each_engine
def test_a_callers_transaction_goes_on_after_a_failed_save_of_user_state(user, alias, page, quiz):
    with refused_values(alias, STATE, "refused"), transaction.atomic(using=alias):
        refuse(page.kvs.set, key_of(quiz, "answers"), "refused")
        page.kvs.set(key_of(quiz, "attempts"), 2)
    assert page.values(quiz) == stored(user, alias) == BEFORE | {"attempts": 2}


@each_engine
@pytest.mark.parametrize("scope", FIELDS, ids=lambda scope: scope.name)
@pytest.mark.parametrize("is_added", [False, True], ids=["never added", "added after"])
def test_a_failed_save_of_a_block_that_was_not_fetched_hides_none_of_its_fields(
    user, alias, page, quiz, scope, is_added
):
    other = Page(user, alias)
    block = other.build(Quiz, quiz.scope_ids.usage_id)
    name = FIELDS[scope][0]
    with refused_values(alias, table_of(name)):
        refuse(other.kvs.set, key_of(block, name), AFTER[name])
    if is_added:
        other.cache.add_blocks_to_cache([block])
    assert other.values(block) == BEFORE
    other.kvs.set(key_of(block, name), AFTER[name])
    assert other.values(block) == stored(user, alias) == BEFORE | {name: AFTER[name]}


# Through XBlock


@each_engine
@each_fault
def test_after_a_failed_save_the_block_writes_at_its_next_save_what_was_not_stored(user, alias, page, fault):
    quiz = page.add()
    quiz.attempts, quiz.answers, quiz.tally, quiz.speed, quiz.language = 1, {"a": [1]}, 1, 1.5, "eo"
    quiz.save()
    before = stored(user, alias)
    quiz.attempts, quiz.tally, quiz.speed, quiz.language = 2, 2, 2.0, None
    quiz.answers["a"].append(2)  # in place
    with fault(alias, USER_INFO.name), pytest.raises(XBlockSaveError) as caught:
        quiz.save()
    changed = {"attempts": 2, "answers": {"a": [1, 2]}, "tally": 2, "speed": 2.0, "language": None}
    assert caught.value.saved_fields == []
    assert {field.name for field in caught.value.dirty_fields} == set(changed)
    assert page.values(quiz) == stored(user, alias) == before
    assert {name: getattr(quiz, name) for name in changed} == changed
    quiz.save()
    assert stored(user, alias) == before | changed
    with at_most(0, alias):
        quiz.save()


@each_engine
@each_fault
def test_a_page_of_blocks_that_fails_is_stored_by_its_next_save(user, alias, page, fault):
    """None of the blocks is stored, and every field that was changed is still to be saved."""
    blocks = [page.add(f"b{n}") for n in range(3)]
    for number, block in enumerate(blocks):
        block.attempts, block.answers, block.language = number, {"a": []}, "eo"
    page.cache.save_many(blocks)
    before = [stored(user, alias, f"b{n}") for n in range(3)]
    for block in blocks:
        block.attempts += 10
        block.answers["a"].append(block.attempts)
    blocks[2].language = "en"
    with fault(alias, USER_INFO.name), pytest.raises(XBlockSaveError) as caught:
        page.cache.save_many(blocks)
    assert list(caught.value.saved_fields) == []
    assert {field.name for field in caught.value.dirty_fields} == {"attempts", "answers", "language"}
    assert [page.values(block) for block in blocks] == before
    assert [stored(user, alias, f"b{n}") for n in range(3)] == before
    page.cache.save_many(blocks)
    for number, block in enumerate(blocks):
        now = stored(user, alias, f"b{number}")
        assert now == page.values(block)
        assert (now["attempts"], now["answers"], now["language"]) == (number + 10, {"a": [number + 10]}, "en")
    with at_most(0, alias):
        page.cache.save_many(blocks)


# Cut connections


def cut(page, quiz, alias, **where):
    """The next save is cut there; whether it was the answer to its COMMIT."""
    _on_a_new_connection(alias)
    with cut_at("", **where, using=alias) as point:
        assert isinstance(refuse(page.kvs.set_many, keyed(quiz, AFTER)), DatabaseError)
    return (where["when"], point.matched[where["nth"] - 1].sql) == ("after", "COMMIT")


@each_engine
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_save_that_is_cut_at_any_statement_shows_the_old_values_and_a_retry_stores_the_new(
    user, alias, page, quiz, when
):
    """It is stored, too, if the connection is lost between the COMMIT and its answer, and nowhere else."""
    _on_a_new_connection(alias)
    with at_statement("", lambda: None, nth=None, using=alias) as uncut:
        page.kvs.set_many(keyed(quiz, BEFORE))
    assert len(uncut.matched) > 5, "the keys and four scopes are more statements than that"
    late = 0
    for nth in range(1, len(uncut.matched) + 1):
        is_late = cut(page, quiz, alias, nth=nth, when=when)
        late += is_late
        assert page.values(quiz) == BEFORE
        assert stored(user, alias) == (AFTER if is_late else BEFORE)
        page.kvs.set_many(keyed(quiz, AFTER))
        assert page.values(quiz) == stored(user, alias) == AFTER
        page.kvs.set_many(keyed(quiz, BEFORE))
    assert late == (when == "after")


@each_server
def test_a_save_that_gets_no_connection_shows_the_old_values(user, alias, page, quiz):
    """A login that is cut amid is among the turns of ``tests/faults/test_cut_connections.py``."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no connection to get")
    with leading_elsewhere(alias, PORT=free_port()):
        assert isinstance(refuse(page.kvs.set_many, keyed(quiz, AFTER)), DatabaseError)
        assert page.values(quiz) == BEFORE
    assert stored(user, alias) == BEFORE


def _on_a_new_connection(alias):
    connections[alias].close()
    forget_all()
