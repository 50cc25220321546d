"""Scores of many blocks in one query, and one set without touching the block's fields; on every engine."""

from __future__ import annotations

from datetime import UTC

import pytest
from django.utils import timezone
from opaque_keys.edx.asides import AsideUsageKeyV2
from opaque_keys.edx.locator import BlockUsageLocator, CourseLocator

from fieldstone.errors import InvalidPlaceError, InvalidValueError
from fieldstone.store import Grade
from fieldstone.store.usages import forget_all
from fieldstone.testing import query_budget
from fieldstone.xblock.scores import ScoresClient, set_score
from tests.conftest import COURSE, each_engine, usage
from tests.xblock.routers import Everything

A, B, C, D = (usage(name) for name in "abcd")
OLD_COURSE = CourseLocator("Org", "Old", "Run", deprecated=True)


def old(name, course=OLD_COURSE):
    return BlockUsageLocator(course, "problem", name, deprecated=True)


@pytest.fixture
def fetched(alias, learner):
    """Fetch, and give the client."""
    return lambda *locations, course=COURSE: ScoresClient.create_for_locations(
        course, learner, locations, using=alias
    )


def score_of(client, location):
    score = client.get(location)
    return score and score[:2]


@each_engine
def test_a_score_that_was_set_is_fetched(fetched, learner, alias):
    before = timezone.now()
    saved = set_score(learner, A, 1, 3.5, using=alias)
    assert before <= saved <= timezone.now()
    assert saved.utcoffset() == UTC.utcoffset(None)
    client = fetched(A, B)
    assert client.get(A) == ScoresClient.Score(correct=1.0, total=3.5, created=saved)
    assert A in client
    assert client.get(B) is None
    assert B not in client


@each_engine
def test_a_score_is_no_other_learners(fetched, learner, alias):
    set_score(learner + 1, A, 1, 2, using=alias)
    assert A not in fetched(A)


@each_engine
@pytest.mark.parametrize("blocks", [1, 1500])
def test_the_scores_of_any_number_of_blocks_are_one_query(learner, store, alias, blocks):
    """Whether the process has met the blocks or not."""
    keys = [usage(f"b{n}") for n in range(blocks)]
    grades = {key: Grade(n, blocks) for n, key in enumerate(keys)}
    store.save(learner, {}, grades=grades)
    client = ScoresClient(COURSE, learner, using=alias)
    for is_known in (True, False):
        if not is_known:
            forget_all()
        with query_budget(1, exact=True):
            client.fetch_scores(iter(keys))
    with query_budget(0):
        assert [client.get(key)[:2] for key in keys] == [tuple(grade) for grade in grades.values()]
        client.fetch_scores([])


@each_engine
def test_when_a_row_was_first_saved_is_kept_over_later_scores(fetched, learner, alias):
    first = set_score(learner, A, 1, 2, using=alias)
    later = set_score(learner, A, 2, 2, using=alias)
    assert later >= first
    assert fetched(A).get(A) == (2.0, 2.0, first)


@each_engine
def test_a_state_without_a_grade_is_a_score_of_nothing(fetched, learner, store):
    """As in Open edX: the learner has been there."""
    receipt = store.save(learner, {A: {"x": 1}})
    assert fetched(A).get(A) == ScoresClient.Score(None, None, receipt.at)


@each_engine
def test_asking_before_anything_was_fetched(learner, alias):
    client = ScoresClient(COURSE, learner, using=alias)
    with pytest.raises(ValueError, match=r"fetch_scores\(locations\)"):
        client.get(A)
    assert A not in client
    client.fetch_scores([])
    assert client.get(A) is None


@each_engine
def test_a_second_fetch_adds_to_the_first_and_renews_it(fetched, learner, alias):
    for key in (A, B):
        set_score(learner, key, 1, 2, using=alias)
    client = fetched(A)
    set_score(learner, A, 2, 2, using=alias)
    assert (score_of(client, A), score_of(client, B)) == ((1, 2), None)
    client.fetch_scores([A, B])
    assert (score_of(client, A), score_of(client, B)) == ((2, 2), (1, 2))
    client.fetch_scores([B])
    assert score_of(client, A) == (2, 2)


@each_engine
def test_a_branch_or_version_of_a_block_has_its_score(fetched, learner, alias):
    draft, version = A.for_branch("draft"), A.for_version("0123456789abcdef01234567")
    set_score(learner, draft, 1, 2, using=alias)
    for asked in (A, draft, version):
        client = fetched(asked)
        assert [score_of(client, key) for key in (A, draft, version)] == [(1, 2)] * 3
        assert draft in client


@each_engine
def test_an_aside_has_a_score_of_its_own(fetched, learner, alias):
    aside = AsideUsageKeyV2(A, "acid_aside")
    set_score(learner, aside, 1, 2, using=alias)
    client = fetched(A, aside)
    assert (score_of(client, A), score_of(client, aside)) == (None, (1, 2))


@each_engine
def test_old_keys_without_a_run_are_of_the_clients_course(fetched, learner, alias):
    """Two runs are told apart."""
    other_run = CourseLocator("Org", "Old", "Other", deprecated=True)
    without_run = old("a", CourseLocator("Org", "Old", None, deprecated=True))
    set_score(learner, old("a"), 1, 2, using=alias)
    client = fetched(without_run, course=OLD_COURSE)
    assert score_of(client, without_run) == score_of(client, old("a")) == (1, 2)
    assert without_run in client
    assert score_of(fetched(without_run, course=other_run), without_run) is None
    with pytest.raises(InvalidPlaceError, match="map_into_course"):
        set_score(learner, without_run, 1, 2, using=alias)


@each_engine
def test_setting_a_score_touches_no_field(learner, store, alias):
    store.save(learner, {A: {"x": 1, "null": None}})
    set_score(learner, A, 1, 2, using=alias)
    state = store.read(learner, [A])[A]
    assert dict(state.fields) == {"x": 1, "null": None}
    assert (state.grade, state.max_grade, state.revision) == (1, 2, 2)
    latest = store.history(learner, A)[0]
    assert (dict(latest.changes), latest.origin) == ({}, "set_score")


@each_engine
def test_a_score_alone_makes_no_state(learner, store, alias):
    set_score(learner, A, 1, 2, using=alias)
    state = store.read(learner, [A])[A]
    assert (len(state.fields), state.grade) == (0, 1)


@each_engine
def test_a_score_can_be_taken_away(fetched, learner, alias):
    set_score(learner, A, 1, 2, using=alias)
    set_score(learner, A, None, None, using=alias)
    assert score_of(fetched(A), A) == (None, None)
    set_score(learner, A, 0, 2, using=alias)
    assert score_of(fetched(A), A) == (0, 2)


@each_engine
@pytest.mark.parametrize("score", [(None, 1), (1, None), (float("nan"), 1), (1, float("inf")), ("1", 2)])
def test_what_is_no_score_is_not_saved(fetched, learner, alias, score):
    set_score(learner, A, 1, 2, using=alias)
    with pytest.raises(InvalidValueError):
        set_score(learner, A, *score, using=alias)
    assert score_of(fetched(A), A) == (1, 2)


@each_engine
def test_without_an_alias_djangos_routers_are_asked(learner, alias, settings):
    settings.DATABASE_ROUTERS = [Everything(alias)]
    set_score(learner, A, 1, 2)
    assert score_of(ScoresClient.create_for_locations(COURSE, learner, [A]), A) == (1, 2)
