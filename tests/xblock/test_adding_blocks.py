"""Which blocks a field data cache fetches: those that are named, or a block and what is below it."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from xblock.fields import Scope

from fieldstone.store.tables import STATE
from fieldstone.xblock import FieldDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import FIELDS, LEARNER_SCOPES, VALUES, Chapter, Page, Quiz, key_of, keyed
from tests.xblock.counting import at_most
from tests.xblock.faults import missing_table
from tests.xblock.routers import Everything

NAMES = ["course", "one", "two", "one.a", "one.b", "two.a", "one.b.x"]


@pytest.fixture
def tree(page):
    """course: one (a, b (x)), two (a); all of them with something stored of the learner."""

    def chapter(name, *children):
        return page.build(Chapter, usage(name, "chapter"), children)

    def leaf(name):
        return page.build(Quiz, usage(name, "quiz"))

    one = chapter("one", leaf("one.a"), chapter("one.b", leaf("one.b.x")))
    root = chapter("course", one, chapter("two", leaf("two.a")))
    for block in page.blocks.values():
        page.kvs.set(user_state_key(block), 1)
    return root


def user_state_key(block):
    return key_of(block, "visited" if isinstance(block, Chapter) else "attempts")


def fetched(page, cache, alias):
    """The names of the blocks whose fields the cache has without a query."""
    found = set()
    for key, block in page.blocks.items():
        try:
            with at_most(0, alias):
                cache.has(user_state_key(block))
        except AssertionError:
            continue
        found.add(key.block_id)
    return found


@each_engine
@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, NAMES[:1]), (1, NAMES[:3]), (2, NAMES[:6]), (3, NAMES), (99, NAMES), (None, NAMES)],
)
def test_descendants_are_fetched_to_a_depth(user, alias, page, tree, depth, expected):
    with at_most(4, alias):
        cache = FieldDataCache.cache_for_block_descendents(COURSE, user, tree, depth, using=alias)
    assert fetched(page, cache, alias) == set(expected)


@each_engine
def test_all_descendants_are_fetched_unless_a_depth_is_given(user, alias, page, tree):
    cache = FieldDataCache([], COURSE, user, using=alias)
    cache.add_block_descendents(tree)
    assert fetched(page, cache, alias) == set(NAMES)


@each_engine
def test_a_filter_leaves_out_blocks_and_not_what_is_below_them(user, alias, page, tree):
    cache = FieldDataCache([], COURSE, user, using=alias)
    cache.add_block_descendents(tree, block_filter=lambda block: not isinstance(block, Chapter))
    assert fetched(page, cache, alias) == {"one.a", "one.b.x", "two.a"}
    assert fetched(page, FieldDataCache([], COURSE, user, using=alias), alias) == set()


@each_engine
def test_a_filter_and_a_depth_hold_together(user, alias, page, tree):
    cache = FieldDataCache.cache_for_block_descendents(
        COURSE, user, tree, 2, lambda block: not isinstance(block, Chapter), using=alias
    )
    assert fetched(page, cache, alias) == {"one.a", "two.a"}


@each_engine
def test_the_older_names_do_the_same(user, alias, page, tree, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]  # older callers name no alias
    leaves = {"one.a", "two.a"}

    def is_leaf(block):
        return not isinstance(block, Chapter)

    by_class = FieldDataCache.cache_for_descriptor_descendents(
        COURSE, user, tree, depth=2, descriptor_filter=is_leaf
    )
    assert fetched(page, by_class, alias) == leaves
    by_method, added = (FieldDataCache([], COURSE, user) for _ in range(2))
    by_method.add_descriptor_descendents(tree, depth=2, descriptor_filter=is_leaf)
    assert fetched(page, by_method, alias) == leaves
    added.add_descriptors_to_cache([tree])
    assert fetched(page, added, alias) == {"course"}


@each_engine
def test_older_callers_give_all_arguments_by_their_places(user, alias, tree, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    for cache in (
        FieldDataCache([tree], COURSE, user, ["note"], True),
        FieldDataCache.cache_for_block_descendents(COURSE, user, tree, None, None, ["note"], True),
        FieldDataCache.cache_for_descriptor_descendents(COURSE, user, tree, None, None, ["note"], True),
    ):
        assert (cache.course_id, cache.user, list(cache.asides), cache.read_only) == (COURSE, user, ["note"], True)


@each_engine
def test_the_course_is_read_once_whatever_is_fetched_of_it(user, alias, page, tree):
    """A block's children come from the runtime: adding them asks the database for no block by itself."""
    costs = []
    for depth in (1, None):
        with at_most(4, alias) as queries:
            FieldDataCache.cache_for_block_descendents(COURSE, user, tree, depth, using=alias)
        costs.append(queries.count())
    assert costs[1] == len(LEARNER_SCOPES)  # quizzes have fields in all of them
    assert costs[0] == 1  # chapters in one


@each_engine
def test_a_block_whose_fetch_failed_is_not_taken_for_one_without_fields(user, alias, page):
    other = Page(user, alias)
    other.kvs.set_many(keyed(other.add(), VALUES[0]))
    quiz = page.build(Quiz, usage("quiz", "quiz"))
    with missing_table(alias, STATE), pytest.raises(DatabaseError):
        page.cache.add_blocks_to_cache([quiz])
    assert page.values(quiz) == VALUES[0]


@each_engine
def test_an_aside_may_be_added_like_a_block(user, alias, page):
    quiz = page.build(Quiz, usage("quiz", "quiz"))
    aside = page.aside(quiz)
    values = {"note": "n", "votes": [1], "speed": 2.0, "author": "a"}
    other = Page(user, alias)
    other.kvs.set_many(keyed(aside, values))
    page.cache.add_blocks_to_cache([aside])
    with at_most(0, alias):
        assert page.values(aside, values) == values


# Length


@each_engine
def test_its_length_is_how_much_is_stored_by_scope(user, alias, page):
    """Of `user_state` the blocks, since one row has all fields of a block; of other scopes the fields."""
    assert len(page.cache) == 0
    assert {scope: len(page.cache.cache[scope]) for scope in LEARNER_SCOPES} == dict.fromkeys(LEARNER_SCOPES, 0)
    page.add("never-stored")
    quiz = page.add()
    assert len(page.cache) == 0
    page.kvs.set_many(keyed(quiz, VALUES[0]))
    page.kvs.set(key_of(page.add("two"), "attempts"), 1)
    again = Page(user, alias)
    for name in ("quiz", "two"):
        again.add(name)
    for cache in (page.cache, again.cache):
        expected = {Scope.user_state: 2} | {scope: len(FIELDS[scope]) for scope in LEARNER_SCOPES[1:]}
        assert {scope: len(cache.cache[scope]) for scope in LEARNER_SCOPES} == expected
        assert len(cache) == 8
    page.kvs.delete(key_of(quiz, "tally"))
    assert len(page.cache) == 7
