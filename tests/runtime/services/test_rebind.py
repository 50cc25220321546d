"""A request without account is bound to the learner for whom it proves to speak."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from fieldstone.errors import ReadOnlyError
from fieldstone.runtime.services import InvalidEventError, RebindError
from fieldstone.store.store import Store
from tests.runtime.courses import key_in, unit_of
from tests.runtime.services.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


@pytest.fixture
def lti(tmp_path):
    """What makes the LTI block of a page."""
    course = unit_of(tmp_path, '<lti url_name="l" has_score="true" weight="2"/>')
    key = key_in(course, "lti", "l")
    return lambda user: page_of(course, user).get_block(key)


def rebind(block, user):
    block.runtime.service(block, "rebind_user").rebind_noauth_module_to_user(block, user)


def test_what_a_bound_block_saves_and_publishes_is_the_learners(ada, bob, lti):
    block = lti(AnonymousUser())
    page = block.runtime
    with page.saving():
        block.set_user_module_score(bob, 0.5, block.max_score(), comment="fair")
        block.save()
    states = Store().read(bob, [block.scope_ids.usage_id])
    (state,) = states.values()
    assert (dict(state.fields), state.grade, state.max_grade) == (
        {"module_score": 1.0, "score_comment": "fair"},
        1.0,
        2.0,
    )
    assert not Store().read(ada, [block.scope_ids.usage_id])


def test_a_score_that_is_cleared_takes_the_grade_away(bob, lti):
    lti(AnonymousUser()).set_user_module_score(bob, 0.5, 2, comment="fair")
    lti(AnonymousUser()).clear_user_module_score(bob)
    block = lti(bob)
    (state,) = Store().read(bob, [block.scope_ids.usage_id]).values()
    assert state.grade is None


def test_a_bound_block_shows_the_learners_fields_and_forgets_the_visitors(bob, lti):
    block = lti(bob)
    block.module_score = 0.25
    block.save()
    visiting = lti(AnonymousUser())
    visiting.score_comment = "of the visitor"
    rebind(visiting, bob)
    assert (visiting.module_score, visiting.score_comment) == (0.25, "")
    assert visiting.scope_ids.user_id == bob.pk
    visiting.save()
    assert lti(bob).score_comment == ""


def test_what_waited_of_the_visitor_is_not_saved_for_the_learner_and_hinders_nothing(bob, lti):
    block = lti(AnonymousUser())
    with block.runtime.saving():
        block.score_comment = "of the visitor"
        block.save()
        rebind(block, bob)
        block.module_score = 0.5
        block.save()
    (state,) = Store().read(bob, [block.scope_ids.usage_id]).values()
    assert dict(state.fields) == {"module_score": 0.5}


def test_a_read_only_request_stays_so_when_it_is_bound(bob, lti):
    block = lti(AnonymousUser())
    block.runtime.field_data_cache.read_only = True
    rebind(block, bob)
    block.module_score = 1
    with pytest.raises(ReadOnlyError):
        block.save()


def test_a_learner_speaks_for_nobody_else(ada, bob, lti):
    with pytest.raises(RebindError, match="has a learner already"):
        rebind(lti(ada), bob)


@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_a_block_is_bound_to_accounts_alone(lti, user):
    with pytest.raises(RebindError, match="with an account"):
        rebind(lti(AnonymousUser()), user)


def test_a_grade_for_another_learner_than_the_blocks_is_refused(ada, bob, lti):
    block = lti(ada)
    with pytest.raises(InvalidEventError, match="another learner"):
        block.runtime.publish(block, "grade", {"value": 1, "max_value": 1, "user_id": bob.pk})
    assert not Store().read(ada, [block.scope_ids.usage_id])
