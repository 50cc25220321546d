"""Other processes write after the prefetch: no save fails for that, and none of their work is lost."""

from __future__ import annotations

import pytest
from django.db import connections

from fieldstone.store.models import (
    StudentModule,
    StudentModuleHistory,
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from tests.conftest import each_engine, usage
from tests.xblock.blocks import FIELDS, LEARNER_SCOPES, VALUES, Page, Quiz, key_of, keyed, stored
from tests.xblock.counting import at_most
from tests.xblock.elsewhere import elsewhere

BEFORE, AFTER = VALUES
ROWS = [XModuleUserStateSummaryField, XModuleStudentPrefsField, XModuleStudentInfoField]

each_scope = pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)


def save_elsewhere(user, alias, values):
    def save():
        page = Page(user, alias)
        page.kvs.set_many(keyed(page.add(), values))

    elsewhere(alias, save)


def test_another_process_is_another_connection(db):
    assert elsewhere("default", lambda: connections["default"].connection) is not connections["default"].connection


@each_engine
@each_scope
def test_a_save_does_not_mind_rows_that_were_created_since_the_prefetch(user, alias, page, scope):
    ours, theirs = FIELDS[scope]
    block = page.add()
    save_elsewhere(user, alias, {ours: BEFORE[ours], theirs: BEFORE[theirs]})
    page.kvs.set(key_of(block, ours), AFTER[ours])
    assert page.kvs.get(key_of(block, ours)) == AFTER[ours]
    assert stored(user, alias) == {ours: AFTER[ours], theirs: BEFORE[theirs]}


@each_engine
@each_scope
def test_a_save_does_not_mind_rows_that_were_changed_since_the_prefetch(user, alias, page, scope):
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))
    ours, theirs = FIELDS[scope]
    save_elsewhere(user, alias, {ours: "theirs", theirs: AFTER[theirs]})
    page.kvs.set(key_of(block, ours), AFTER[ours])
    assert page.kvs.get(key_of(block, ours)) == AFTER[ours]
    assert stored(user, alias) == BEFORE | {ours: AFTER[ours], theirs: AFTER[theirs]}


@each_engine
@each_scope
def test_a_save_does_not_mind_fields_that_were_deleted_since_the_prefetch(user, alias, page, scope):
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))

    def delete():
        other = Page(user, alias)
        for name in FIELDS[scope]:
            other.kvs.delete(key_of(other.add(), name))

    elsewhere(alias, delete)
    ours, theirs = FIELDS[scope]
    page.kvs.set(key_of(block, ours), AFTER[ours])
    if page.kvs.has(key_of(block, theirs)):  # what another process deleted may be deleted
        page.kvs.delete(key_of(block, theirs))
    assert not page.kvs.has(key_of(block, theirs))
    left = {name: value for name, value in BEFORE.items() if name not in FIELDS[scope]}
    assert stored(user, alias) == left | {ours: AFTER[ours]}


@each_engine
def test_a_save_does_not_mind_rows_that_were_removed_since_the_prefetch(user, alias, page):
    """As a host does that resets a learner: the rows go past the store, with their history."""
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))

    def remove():
        for model in (StudentModule, StudentModuleHistory, *ROWS):
            model.objects.using(alias).all().delete()

    elsewhere(alias, remove)
    changes = {names[0]: AFTER[names[0]] for names in FIELDS.values()}
    page.kvs.set_many(keyed(block, changes))
    assert stored(user, alias) == changes


@each_engine
def test_a_save_does_not_mind_a_state_that_was_removed_without_its_history(user, alias, page):
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))
    elsewhere(alias, StudentModule.objects.using(alias).all().delete)
    page.kvs.set(key_of(block, "attempts"), 5)
    assert stored(user, alias)["attempts"] == 5


@each_engine
def test_a_save_takes_up_what_others_wrote_into_the_block_since_the_prefetch(user, alias, page):
    block = page.add()
    page.kvs.set_many(keyed(block, BEFORE))
    save_elsewhere(user, alias, {"answers": "theirs", "seed": "theirs"})
    assert page.kvs.get(key_of(block, "answers")) == BEFORE["answers"]
    page.kvs.set(key_of(block, "attempts"), 2)
    assert page.values(block, ["attempts", "answers", "seed"]) == {
        "attempts": 2,
        "answers": "theirs",
        "seed": "theirs",
    }


@each_engine
def test_a_save_at_a_block_that_was_never_added_takes_up_all_its_fields(user, alias, page):
    save_elsewhere(user, alias, BEFORE)
    block = page.build(Quiz, usage("quiz", "quiz"))
    page.kvs.set(key_of(block, "attempts"), 2)
    with at_most(0, alias):
        assert page.values(block, ["attempts", "answers", "seed"]) == {"attempts": 2, "answers": BEFORE["answers"]}


@each_engine
@each_scope
def test_within_a_page_a_block_that_was_never_added_shows_what_is_saved_over_what_is_stored(
    user, alias, page, scope
):
    ours, theirs = FIELDS[scope]
    save_elsewhere(user, alias, BEFORE)
    block = page.build(Quiz, usage("quiz", "quiz"))
    with page.cache.saving_at_the_end():
        page.kvs.set(key_of(block, ours), AFTER[ours])
        assert page.kvs.get(key_of(block, theirs)) == BEFORE[theirs]
        assert page.kvs.get(key_of(block, ours)) == AFTER[ours]


@each_engine
@pytest.mark.parametrize("scope", LEARNER_SCOPES[1:], ids=lambda scope: scope.name)
def test_a_fetch_after_a_save_shows_what_others_have_deleted_since(user, alias, page, scope):
    """A save in the scopes with a row per field tells nothing of the other fields: those are still to fetch."""
    ours, theirs = FIELDS[scope]
    block = page.build(Quiz, usage("quiz", "quiz"))
    page.kvs.set(key_of(block, ours), AFTER[ours])

    def delete():
        other = Page(user, alias)
        other.kvs.delete(key_of(other.add(), ours))

    elsewhere(alias, delete)
    assert not page.kvs.has(key_of(block, theirs))
    assert not page.kvs.has(key_of(block, ours))


@each_engine
def test_eight_writers_of_one_block_lose_nothing(user, alias, page):
    """Each with its own fields, prefetched before any of the others has saved."""
    block = page.add()
    key = key_of(block, "attempts")
    pages = [Page(user, alias) for _ in range(8)]
    for other in pages:
        other.add()
    for turn in range(3):
        for number, other in enumerate(pages):
            elsewhere(alias, lambda o=other, n=number, t=turn: o.kvs.set(key._replace(field_name=f"f{n}"), t))
    again = Page(user, alias)
    again.add()
    assert [again.kvs.get(key._replace(field_name=f"f{number}")) for number in range(8)] == [2] * 8
