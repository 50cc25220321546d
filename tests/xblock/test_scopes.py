"""What a value is stored under in each scope, and what therefore shares it."""

from __future__ import annotations

import pytest
from opaque_keys.edx.asides import AsideUsageKeyV2
from xblock.core import XBlock, XBlockAside
from xblock.fields import UNIQUE_ID, Float, Scope, String

from fieldstone.store import Preferences, Store, Summary, UserInfo
from fieldstone.xblock import FieldDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import Note, Page, Quiz, key_of
from tests.xblock.counting import at_most


class Poll(XBlock):
    """Another type, with fields of the same names."""

    speed = Float(scope=Scope.preferences)
    language = String(scope=Scope.user_info)


@each_engine
def test_preferences_are_shared_by_the_blocks_of_a_type_and_by_no_others(user, alias, page):
    page.add("one").speed = 2.0
    page.blocks[usage("one", "quiz")].save()
    assert page.add("two").speed == 2.0
    assert page.add("three", Poll).speed is None
    again = Page(user, alias)
    assert (again.add("two").speed, again.add("three", Poll).speed) == (2.0, None)
    assert dict(Store(alias).read(user, [Preferences("quiz")])[Preferences("quiz")].fields) == {"speed": 2.0}


@each_engine
def test_user_info_is_shared_by_the_blocks_of_all_types(user, another, alias, page):
    page.add("one").language = "eo"
    page.blocks[usage("one", "quiz")].save()
    assert page.add("three", Poll).language == "eo"
    assert Page(user, alias).add("three", Poll).language == "eo"
    assert Page(another, alias).add("three", Poll).language is None
    assert dict(Store(alias).read(user, [UserInfo()])[UserInfo()].fields) == {"language": "eo"}


@each_engine
def test_a_summary_is_shared_by_the_learners_of_a_block_and_by_no_other_block(user, another, alias, page):
    page.add("one").tally = 3
    page.blocks[usage("one", "quiz")].save()
    other = Page(another, alias)
    assert (other.add("one").tally, other.add("two").tally) == (3, 0)
    place = Summary(usage("one", "quiz"))
    assert dict(Store(alias).read(None, [place])[place].fields) == {"tally": 3}


@each_engine
def test_user_state_is_one_learners_at_one_block(user, another, alias, page):
    page.add("one").attempts = 3
    page.blocks[usage("one", "quiz")].save()
    assert page.add("two").attempts == 0
    assert Page(another, alias).add("one").attempts == 0
    assert Page(user, alias).add("one").attempts == 3


@each_engine
def test_a_unique_default_is_the_same_at_each_request_and_is_not_stored(user, another, alias, page):
    quiz = page.add()
    assert Quiz.fields["seed"].default is UNIQUE_ID
    assert quiz.seed == Page(user, alias).add().seed
    assert quiz.seed not in (page.add("two").seed, Page(another, alias).add().seed)
    with at_most(0, alias):
        quiz.save()
    assert page.values(quiz) == {}


# Asides


@pytest.fixture
def note_installed(monkeypatch):
    """As its entry point would have it."""
    load = XBlockAside.load_class
    monkeypatch.setattr(
        XBlockAside, "load_class", lambda name, *rest: Note if name in ("note", "quiz") else load(name, *rest)
    )


def keys_of(aside):
    return {name: key_of(aside, name) for name in ("note", "votes", "speed", "author")}


WRITTEN = {"note": "mine", "votes": [9], "speed": 9.0, "author": "ada"}


@each_engine
def test_an_aside_is_stored_apart_from_its_block_and_from_other_asides(user, alias, page):
    """Also where fields, and even types, have the same names."""
    quiz = page.add()
    asides = [page.aside(quiz, "note"), page.aside(quiz, "quiz"), page.aside(page.add("two"), "note")]
    quiz.votes, quiz.speed = [1], 1.5
    quiz.save()
    page.kvs.set_many({key: WRITTEN[name] for name, key in keys_of(asides[0]).items()})
    again = Page(user, alias)
    block = again.add()
    assert (block.votes, block.speed) == ([1], 1.5)
    found = [
        {name: again.kvs.get(key) for name, key in keys_of(aside).items() if again.kvs.has(key)}
        for aside in asides
    ]
    # `author` is the learner's own, whatever asks; `speed` is of all asides of a type.
    assert found == [WRITTEN, {"author": "ada"}, {"speed": 9.0, "author": "ada"}]


@each_engine
def test_an_aside_saves_its_fields_as_a_block_does(user, alias, page):
    aside = page.aside(page.add())
    aside.note, aside.speed = "mine", 2.0
    aside.save()
    again = Page(user, alias)
    found = again.aside(again.add())
    assert (found.note, found.speed, found.author) == ("mine", 2.0, None)


@each_engine
def test_asides_store_under_their_own_keys(user, alias, page):
    aside = page.aside(page.add())
    page.kvs.set_many({key: WRITTEN[name] for name, key in keys_of(aside).items()})
    key, preferences = aside.scope_ids.usage_id, Preferences("block-type-v1:xblock_asides.v1:note")
    assert key == AsideUsageKeyV2(usage("quiz", "quiz"), "note")
    states = Store(alias).read(user, [key, Summary(key), preferences, UserInfo()])
    assert [dict(states[place].fields) for place in (key, Summary(key), preferences, UserInfo())] == [
        {name: value} for name, value in WRITTEN.items()
    ]


@each_engine
@pytest.mark.usefixtures("note_installed")
def test_asides_that_are_named_are_fetched_with_their_blocks(user, alias, page):
    """In the same queries: one a scope, for blocks and asides alike."""
    blocks = [page.add(f"b{n}") for n in range(20)]
    asides = [page.aside(block) for block in blocks]
    for number, (block, aside) in enumerate(zip(blocks, asides, strict=True)):
        page.kvs.set_many({key_of(block, "attempts"): number, key_of(aside, "note"): f"on {number}"})
    page.kvs.set(key_of(asides[0], "speed"), 2.0)
    again = Page(user, alias)
    with at_most(4, alias):
        again.use_cache(FieldDataCache(blocks, COURSE, user, asides=["note"], using=alias))
    with at_most(0, alias):
        found = [
            (again.kvs.get(key_of(b, "attempts")), again.kvs.get(key_of(a, "note")))
            for b, a in zip(blocks, asides, strict=True)
        ]
        assert found == [(number, f"on {number}") for number in range(20)]
        assert again.kvs.get(key_of(asides[5], "speed")) == 2.0
        assert not again.kvs.has(key_of(asides[0], "votes"))
        assert not again.kvs.has(key_of(asides[0], "author"))


@each_engine
def test_an_aside_whose_class_is_not_installed_is_fetched_all_the_same(user, alias, page):
    quiz = page.add()
    aside = page.aside(quiz, "gone")
    page.kvs.set_many({key: WRITTEN[name] for name, key in keys_of(aside).items()})
    again = Page(user, alias, asides=["gone"])
    with at_most(4, alias):
        again.add()
    with at_most(0, alias):
        assert {name: again.kvs.get(key) for name, key in keys_of(aside).items()} == WRITTEN
