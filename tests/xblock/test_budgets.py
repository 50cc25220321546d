"""What each call of the field storage may cost, as ceilings; counted as inside Django's ``TestCase``."""

from __future__ import annotations

import itertools

import pytest
from xblock.fields import Scope

from fieldstone.store.models import StudentModule
from fieldstone.store.usages import forget_all
from fieldstone.xblock import FieldDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import (
    FIELDS,
    LEARNER_SCOPES,
    VALUES,
    Page,
    Quiz,
    Text,
    declaring,
    key_of,
    keyed,
    stored,
)
from tests.xblock.counting import at_most

BEFORE, AFTER = VALUES
FIELD_SCOPES = [scope for scope in LEARNER_SCOPES if scope != Scope.user_state]
COMBINATIONS = [those for n in range(1, 5) for those in itertools.combinations(LEARNER_SCOPES, n)]


@pytest.fixture
def quiz(page):
    """A quiz that the cache has fetched with a value in every field."""
    other = Page(page.cache.user, page.cache.backing.using)
    other.kvs.set_many(keyed(other.add(), BEFORE))
    return page.add()


def field_of(scope):
    return FIELDS[scope][0]


each_field_scope = pytest.mark.parametrize("scope", FIELD_SCOPES, ids=lambda scope: scope.name)
each_scope = pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)


# Fetching


@each_engine
def test_blocks_without_fields_of_the_learner_cost_nothing(user, alias, page):
    blocks = [page.build(Text, usage(f"t{n}", "text")) for n in range(3)]
    with at_most(0, alias):
        cache = FieldDataCache(blocks, COURSE, user, using=alias)
    assert len(cache) == 0


@each_engine
@pytest.mark.parametrize("scopes", COMBINATIONS, ids=lambda scopes: "+".join(scope.name for scope in scopes))
def test_a_prefetch_costs_a_query_a_scope_that_occurs(user, alias, page, scopes):
    """Whatever the number of blocks, and whether the process has met their keys or not."""
    block_class = declaring(*scopes)
    blocks = [page.build(block_class, usage(f"b{n}")) for n in range(40)]
    for block in blocks[:3]:
        page.kvs.set_many({key_of(block, f"in_{scope.name}"): 7 for scope in scopes})
    for is_known in (False, True):
        if not is_known:
            forget_all()
        for number in (1, 40):
            cold = Page(user, alias)
            with at_most(len(scopes), alias):
                cold.use_cache(FieldDataCache(blocks[:number], COURSE, user, using=alias))
            with at_most(0, alias):
                for block in blocks[: min(number, 3)]:
                    assert [cold.kvs.get(key_of(block, f"in_{scope.name}")) for scope in scopes] == [7] * len(
                        scopes
                    )


@each_engine
def test_what_is_there_is_not_fetched_again(user, alias, page, quiz):
    known = page.build(Quiz, usage("quiz", "quiz"))
    with at_most(0, alias):
        page.cache.add_blocks_to_cache([quiz, known])


@each_engine
def test_blocks_that_are_added_later_cost_a_query_for_what_is_theirs_alone(alias, page, quiz):
    """Of the same type: their preferences and the learner's own fields are there already."""
    others = [page.build(Quiz, usage(f"other{n}", "quiz")) for n in range(20)]
    with at_most(2, alias):
        page.cache.add_blocks_to_cache(others)


# Reading


@each_engine
def test_reading_costs_nothing(alias, page, quiz):
    with at_most(0, alias):
        for name, value in BEFORE.items():
            key = key_of(quiz, name)
            assert page.kvs.get(key) == value
            assert page.kvs.has(key)
            missing = key._replace(field_name="missing")
            assert not page.kvs.has(missing)
            for call in (page.kvs.get, page.kvs.delete):
                with pytest.raises(KeyError, match="missing"):
                    call(missing)
            page.cache.last_modified(key)


@each_engine
def test_reading_what_was_never_stored_costs_nothing(alias, page):
    quiz = page.add()
    with at_most(0, alias):
        assert page.values(quiz) == {}
        for scope in LEARNER_SCOPES:
            for call in (page.kvs.get, page.kvs.delete):
                with pytest.raises(KeyError):
                    call(key_of(quiz, field_of(scope)))


# Writing ``user_state``


@each_engine
@pytest.mark.parametrize(
    "values",
    [{"attempts": 2}, {"new": 1}, {"attempts": 2, "answers": {}, "new": 1}],
    ids=["an existing field", "a new field", "many"],
)
def test_setting_user_state_costs_four_and_keeps_the_other_fields(user, alias, page, quiz, values):
    keys = {key_of(quiz, "attempts", field_name=name): value for name, value in values.items()}
    with at_most(4, alias):
        page.kvs.set_many(keys) if len(keys) > 1 else page.kvs.set(*keys.popitem())
    again = Page(user, alias)
    names = ("attempts", "answers", "new")
    found = {name: again.kvs.get(key_of(quiz, "attempts", field_name=name)) for name in names if name in values}
    assert found == values
    untouched = {name: value for name, value in BEFORE.items() if name not in values}
    assert stored(user, alias).items() >= untouched.items()


@each_engine
def test_deleting_user_state_costs_four_and_leaves_the_row(user, alias, page, quiz):
    for name in FIELDS[Scope.user_state]:
        with at_most(4, alias):
            page.kvs.delete(key_of(quiz, name))
        assert name not in stored(user, alias)
    assert StudentModule.objects.using(alias).get().state == "{}"


@each_engine
def test_the_first_state_of_a_learner_at_a_block_costs_four(another, alias, quiz):
    """Others have been at the block: its key is known."""
    page = Page(another, alias)
    block = page.add()
    with at_most(4, alias):
        page.kvs.set(key_of(block, "attempts"), 5)
    assert stored(another, alias)["attempts"] == 5


@each_engine
def test_the_first_state_of_all_at_a_block_costs_two_more(user, alias, page):
    block = page.add()
    with at_most(4 + 2, alias):
        page.kvs.set(key_of(block, "attempts"), 5)
    row = StudentModule.objects.using(alias).select_related("usage__context").get()
    assert (row.student_id, row.state) == (user.pk, '{"attempts": 5}')
    assert (row.usage.key, row.usage.block_type) == (str(usage("quiz", "quiz")), "quiz")
    assert row.usage.context.key == str(COURSE)


# Writing the other scopes


@each_engine
def test_the_first_summary_of_all_at_a_block_costs_two_more(user, alias, page):
    with at_most(1 + 2, alias):
        page.kvs.set(key_of(page.build(Quiz, usage("quiz", "quiz")), "tally"), 5)
    assert stored(user, alias) == {"tally": 5}


@each_engine
@each_field_scope
def test_setting_a_field_with_a_row_of_its_own_costs_one(user, alias, page, quiz, scope):
    key = key_of(quiz, field_of(scope))
    new = key._replace(field_name="new")
    with at_most(1, alias):
        page.kvs.set(key, "changed")
    with at_most(1, alias):
        page.kvs.set(new, "first")
    with at_most(1, alias):
        page.kvs.set_many({key: "both", new: "both"})
    again = Page(user, alias)
    assert (again.kvs.get(key), again.kvs.get(new)) == ("both", "both")


@each_engine
@each_field_scope
def test_deleting_a_field_with_a_row_of_its_own_costs_one(user, alias, page, quiz, scope):
    with at_most(1, alias):
        page.kvs.delete(key_of(quiz, field_of(scope)))
    left = {name: value for name, value in BEFORE.items() if name != field_of(scope)}
    assert stored(user, alias) == left


# Writing much at once


@each_engine
def test_a_save_of_many_blocks_and_scopes_costs_what_a_save_of_one_does(user, alias):
    costs = {}
    for number in (1, 30):
        page = Page(user, alias)
        blocks = [page.add(f"of-{number}-{n}") for n in range(number)]
        for values in (BEFORE, AFTER):
            with at_most(100, alias) as queries:
                page.kvs.set_many({key: value for block in blocks for key, value in keyed(block, values).items()})
            costs.setdefault(number, []).append(queries.count())
        assert [stored(user, alias, f"of-{number}-{n}") for n in range(number)] == [AFTER] * number
    # That of `user_state` alone, and a statement for each of the other scopes; two more with keys that are new.
    for of_many, of_one, limit in zip(costs[30], costs[1], (4 + 3 + 2, 4 + 3), strict=True):
        assert of_many <= of_one <= limit


@each_engine
@each_scope
def test_what_was_set_is_read_without_a_query_and_so_are_the_blocks_other_fields(alias, page, quiz, scope):
    page.kvs.set_many(keyed(quiz, {name: AFTER[name] for name in FIELDS[scope]}))
    expected = BEFORE | {name: AFTER[name] for name in FIELDS[scope]}
    with at_most(0, alias):
        assert page.values(quiz) == expected
