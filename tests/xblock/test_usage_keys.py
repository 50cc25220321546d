"""Keys of branches, of old courses and of none that were added: which state they lead to."""

from __future__ import annotations

import pytest
from opaque_keys.edx.asides import AsideUsageKeyV2
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import BlockUsageLocator, CourseLocator
from xblock.fields import Scope, ScopeIds

from fieldstone.store import Store
from fieldstone.store.places import key_text, parse_key
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.blocks import FIELDS, LEARNER_SCOPES, VALUES, Page, Quiz, declaring, key_of, keyed
from tests.xblock.counting import at_most

OF_A_BLOCK = [Scope.user_state, Scope.user_state_summary]


def old_course(run):
    return CourseLocator("Org", "Old", run, deprecated=True)


def old_key(run):
    """``i4x://Org/Old/quiz/q``, of a run or of none that it knows."""
    return BlockUsageLocator(old_course(run), "quiz", "q", deprecated=True)


def key_at(usage_key, scope, user):
    user_id = user.pk if scope == Scope.user_state else None
    return DjangoKeyValueStore.Key(scope, user_id, usage_key, FIELDS[scope][0])


def over(user, alias, course, *keys):
    """A page whose cache is of a course and has fetched the quizzes with these keys."""
    page = Page(user, alias)
    page.use_cache(FieldDataCache([page.build(Quiz, key) for key in keys], course, user, using=alias))
    return page


each_scope = pytest.mark.parametrize("scope", OF_A_BLOCK, ids=lambda scope: scope.name)


@each_engine
@each_scope
def test_two_runs_of_an_old_course_are_kept_apart(user, alias, scope):
    """Though the texts of their keys are the same."""
    assert str(old_key("2012")) == str(old_key("2013"))
    for number, run in enumerate(("2012", "2013")):
        page = over(user, alias, old_course(run), old_key(run))
        assert not page.kvs.has(key_at(old_key(run), scope, user))
        page.kvs.set(key_at(old_key(run), scope, user), number)
    for number, run in enumerate(("2012", "2013")):
        page = over(user, alias, old_course(run), old_key(run))
        with at_most(0, alias):
            assert page.kvs.get(key_at(old_key(run), scope, user)) == number


def test_an_aside_is_of_the_branch_and_run_that_its_block_is_of():
    asides = [AsideUsageKeyV2(old_key(run), "note") for run in ("2012", "2013")]
    texts = [key_text(aside) for aside in asides]
    assert len(set(texts)) == 2
    assert [(parse_key(text), parse_key(text).usage_key.run) for text in texts] == list(
        zip(asides, ("2012", "2013"), strict=True)
    )
    block = usage("quiz", "quiz")
    of_draft, of_block = (AsideUsageKeyV2(key, "note") for key in (block.for_branch("draft"), block))
    assert key_text(of_draft) == key_text(of_block)


@each_engine
@each_scope
def test_an_old_key_of_another_run_than_the_caches_keeps_it(user, alias, scope):
    over(user, alias, old_course("2012")).kvs.set(key_at(old_key("2013"), scope, user), 1)
    assert over(user, alias, old_course("2013")).kvs.get(key_at(old_key("2013"), scope, user)) == 1
    assert not over(user, alias, old_course("2012")).kvs.has(key_at(old_key("2012"), scope, user))


@each_engine
@each_scope
def test_an_old_key_without_a_run_is_of_the_caches_course(user, alias, scope):
    without = UsageKey.from_string("i4x://Org/Old/quiz/q")
    assert without.context_key.run is None
    over(user, alias, old_course("2012")).kvs.set(key_at(without, scope, user), 12)
    page = over(user, alias, old_course("2012"), old_key("2012"))
    with at_most(0, alias):
        assert page.kvs.get(key_at(old_key("2012"), scope, user)) == 12
        assert page.kvs.get(key_at(without, scope, user)) == 12
    page = over(user, alias, old_course("2012"), without)
    with at_most(0, alias):
        assert page.kvs.get(key_at(old_key("2012"), scope, user)) == 12
    assert not over(user, alias, old_course("2013"), without).kvs.has(key_at(without, scope, user))


@each_engine
def test_states_of_old_courses_come_back_with_their_run(user, alias):
    page = over(user, alias, old_course("2012"))
    page.kvs.set(key_at(UsageKey.from_string("i4x://Org/Old/quiz/q"), Scope.user_state, user), 12)
    scanned = [row.usage_key for row in Store(alias).scan(context=old_course("2012"))]
    assert scanned == [old_key("2012")]
    assert scanned[0].context_key == old_course("2012")


@each_engine
@each_scope
def test_a_key_of_a_branch_or_version_leads_to_the_block_itself(user, alias, scope):
    plain = usage("quiz", "quiz")
    drafts = [plain.for_branch("draft-branch"), plain.for_branch("published-branch").for_version("5" * 24)]
    over(user, alias, COURSE, drafts[0]).kvs.set(key_at(drafts[0], scope, user), 1)
    for key in (plain, *drafts):
        page = over(user, alias, COURSE, key)
        with at_most(0, alias):
            assert page.kvs.get(key_at(key, scope, user)) == 1
            assert page.kvs.get(key_at(plain, scope, user)) == 1


@each_engine
def test_an_equal_key_leads_to_the_same_value_as_the_very_key_that_was_added(user, alias, page):
    quiz = page.add()
    page.kvs.set_many(keyed(quiz, VALUES[0]))
    equal = UsageKey.from_string(str(quiz.scope_ids.usage_id))
    assert equal is not quiz.scope_ids.usage_id
    with at_most(0, alias):
        for scope in OF_A_BLOCK:
            key = key_at(equal, scope, user)
            assert page.kvs.get(key) == 1
            page.kvs.has(key)
    page.kvs.set(key_at(equal, Scope.user_state, user), 8)
    assert page.kvs.get(key_of(quiz, "attempts")) == 8


# Keys of blocks that were never added


@each_engine
def test_a_block_that_was_never_added_is_read_as_it_is_stored(user, alias, page):
    """One query at the first touch, rather than an answer that nothing is there."""
    page.kvs.set_many(keyed(page.add(), VALUES[0]))
    other = Page(user, alias)
    quiz = other.build(Quiz, usage("quiz", "quiz"))
    for scope in LEARNER_SCOPES:
        first, second = FIELDS[scope]
        with at_most(1, alias):
            assert other.kvs.get(key_of(quiz, first)) == VALUES[0][first]
        with at_most(0, alias):
            assert other.kvs.has(key_of(quiz, second))
            assert not other.kvs.has(key_of(quiz, first, field_name="missing"))


@each_engine
@pytest.mark.parametrize("scope", LEARNER_SCOPES, ids=lambda scope: scope.name)
def test_a_field_set_on_a_block_that_was_never_added_hides_none_of_its_others(user, alias, page, scope):
    page.kvs.set_many(keyed(page.add(), VALUES[0]))
    other = Page(user, alias)
    quiz = other.build(Quiz, usage("quiz", "quiz"))
    first, second = FIELDS[scope]
    other.kvs.set(key_of(quiz, first), VALUES[1][first])
    with at_most(0, alias):
        assert other.kvs.get(key_of(quiz, first)) == VALUES[1][first]
    assert other.kvs.get(key_of(quiz, second)) == VALUES[0][second]
    assert not other.kvs.has(key_of(quiz, first, field_name="missing"))
    other.kvs.delete(key_of(quiz, first))
    assert other.values(quiz) == {name: value for name, value in VALUES[0].items() if name != first}


@each_engine
def test_a_block_that_declares_no_field_in_a_scope_is_taken_at_its_word(user, alias, page):
    block = page.build(declaring(Scope.user_state), usage("b"))
    page.cache.add_blocks_to_cache([block])
    with at_most(0, alias):
        assert not page.kvs.has(key_at(usage("b"), Scope.user_state_summary, user))
        assert not page.kvs.has(DjangoKeyValueStore.Key(Scope.preferences, user.pk, "problem", "speed"))
        assert not page.kvs.has(DjangoKeyValueStore.Key(Scope.user_info, user.pk, None, "language"))


@each_engine
def test_no_usage_key_is_parsed_that_the_caller_gave(user, alias, monkeypatch):
    def refuse(*_):
        raise RuntimeError("a usage key was parsed")

    monkeypatch.setattr(UsageKey, "from_string", refuse)
    for _ in range(2):  # first with keys that nobody has met
        page = Page(user, alias)
        quiz = page.add()
        page.kvs.set_many(keyed(quiz, VALUES[0]))
        assert page.values(quiz) == VALUES[0]


class Unhashable(BlockUsageLocator):
    """A usage key that a cached get must not hash, which costs more than all else in it."""

    __hash__ = None


@each_engine
def test_a_cached_get_hashes_no_usage_key(user, alias, page):
    over(user, alias, COURSE).kvs.set(key_at(usage("quiz", "quiz"), Scope.user_state, user), 1)
    key = Unhashable(COURSE, "quiz", "quiz")
    page.cache.add_blocks_to_cache([Quiz(page, scope_ids=ScopeIds(user.pk, "quiz", key, key))])
    with pytest.raises(TypeError, match="unhashable"):
        hash(key)
    with at_most(0, alias):
        assert page.kvs.get(key_at(key, Scope.user_state, user)) == 1
        assert page.kvs.has(key_at(key, Scope.user_state, user))
        assert not page.kvs.has(key_at(key, Scope.user_state_summary, user))
