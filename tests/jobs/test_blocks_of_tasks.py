"""Blocks that save in every scope, publish and fail, in a job: with the chunk, or not at all."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import ClassVar

import pytest
from django.db import OperationalError
from xblock import plugin
from xblock.core import XBlock
from xblock.fields import Integer, Scope, String
from xblock.scorable import Score

from fieldstone.jobs import control, planning
from fieldstone.jobs.models import Status
from fieldstone.jobs.patience import Patience
from fieldstone.jobs.worker import Worker
from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.courses.current import current_course
from fieldstone.runtime.events import block_published
from fieldstone.store import Preferences, Store, Summary, UserInfo
from fieldstone.store.states import NO_STATE
from fieldstone.testing.faults import fail_at
from fieldstone.xblock.declared import COMPLETION, aside_key
from tests.runtime.courses import unit_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

TYPE = "test-tally"
LEARNERS = 12


class Tally(XBlock):
    """Keeps of each rescore something in all four scopes, publishes a grade and a completion, and may fail."""

    answer = String(scope=Scope.user_state, default="")
    times = Integer(scope=Scope.user_state, default=0)
    rescores = Integer(scope=Scope.user_state_summary, default=0)
    of_type = Integer(scope=Scope.preferences, default=0)
    of_all = Integer(scope=Scope.user_info, default=0)

    fails_for: ClassVar[dict[int, Exception]] = {}
    asked: ClassVar[list[int]] = []
    meanwhile: ClassVar[list] = []

    def has_submitted_answer(self):
        return bool(self.answer)

    def get_score(self):
        return Score(self.times, 10)

    def rescore(self, only_if_higher=False):
        learner = self.scope_ids.user_id
        self.asked.append(learner)
        if self.meanwhile:
            self.meanwhile.pop()()
        self.times += 1
        self.rescores += 1
        self.of_type += 1
        self.of_all += 1
        self.runtime.publish(self, "grade", {"value": self.times, "max_value": 10})
        self.runtime.publish(self, "completion", {"completion": 1.0})
        if learner in self.fails_for:
            raise self.fails_for[learner]


@pytest.fixture(autouse=True)
def tally(monkeypatch):
    group = XBlock.entry_point
    point = importlib.metadata.EntryPoint(TYPE, f"{__name__}:Tally", group)
    monkeypatch.setattr(XBlock, "extra_entry_points", [(TYPE, point)])
    plugin.PLUGIN_CACHE.pop((group, TYPE), None)
    block_class.cache_clear()
    for kept in (Tally.fails_for, Tally.asked, Tally.meanwhile):
        kept.clear()
    yield
    plugin.PLUGIN_CACHE.pop((group, TYPE), None)
    block_class.cache_clear()


@pytest.fixture
def key(tmp_path, settings):
    unit_of(tmp_path, f'<{TYPE} url_name="t"/>')
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": tmp_path}
    return current_course().key.make_usage_key(TYPE, "t")


@pytest.fixture
def learners(key, django_user_model):
    users = [django_user_model.objects.create_user(f"learner-{number}") for number in range(LEARNERS)]
    for user in users:
        Store().save(user, {key: {"answer": f"secret of {user.username}"}})
    return [user.pk for user in users]


@pytest.fixture
def heard():
    heard = []

    def hear(user, event_type, **_):
        heard.append((user.pk, event_type))

    block_published.connect(hear)
    yield heard
    block_published.disconnect(hear)


def rescored(key, worker=None, **more):
    job = planning.start("rescore", key.context_key, [key], **more)
    return (worker or Worker(patience=Patience(sleep=lambda seconds: None))).run(job.pk)


def counts(job):
    return (job.attempted, job.succeeded, job.skipped, job.failed)


def stored(key, learner):
    """What is stored of a learner in the four scopes, and of the completion."""
    completion = aside_key(key, COMPLETION)
    places = [key, completion, Summary(key), Preferences(TYPE), UserInfo()]
    states = {place: Store().read(learner, [place]).get(place, NO_STATE) for place in places}
    names = ["times", "completion", "rescores", "of_type", "of_all"]
    values = [states[place].fields.get(name) for place, name in zip(places, names, strict=True)]
    return (states[key].grade, *values)


def test_what_a_block_saves_in_other_scopes_is_stored_with_the_chunk(key, learners, heard):
    job = rescored(key)
    assert (job.status, counts(job)) == (Status.FINISHED, (LEARNERS, LEARNERS, 0, 0))
    for learner in learners:
        assert stored(key, learner) == (1.0, 1, 1.0, LEARNERS, 1, 1)
    assert sorted(heard) == sorted((n, what) for n in learners for what in ("grade", "completion"))


def test_what_a_block_saves_in_other_scopes_is_rolled_back_with_the_chunk(key, learners, heard):
    """The chunk's last statement but the commit fails."""
    impatient = Worker(patience=Patience(seconds=0))
    with fail_at("^UPDATE fieldstone_jobs_part SET attempted"), pytest.raises(OperationalError):
        rescored(key, impatient)
    for learner in learners:
        assert stored(key, learner) == (None, None, None, None, None, None)
    assert heard == []
    job = impatient.run(planning.Job.objects.get().pk)
    assert counts(job) == (LEARNERS, LEARNERS, 0, 0)
    for learner in learners:
        assert stored(key, learner) == (1.0, 1, 1.0, LEARNERS, 1, 1)
    assert len(heard) == 2 * LEARNERS


def test_a_field_that_all_learners_share_does_not_make_a_chunk_costlier_by_its_square(key, learners):
    """Each is computed at most once more, after the one before is saved."""
    rescored(key)
    assert len(Tally.asked) <= 2 * LEARNERS


def test_who_saves_meanwhile_is_asked_again_and_told_of_once(key, learners, heard):
    late = learners[3]

    def page():
        Store().save(late, {key: {"answer": "a late one"}})

    Tally.meanwhile.append(page)
    job = rescored(key)
    assert counts(job) == (LEARNERS, LEARNERS, 0, 0)
    state = Store().read(late, [key])[key]
    assert (state.fields["answer"], state.fields["times"], state.revision) == ("a late one", 1, 3)
    assert len(heard) == len(set(heard)) == 2 * LEARNERS


def test_a_dry_run_stores_nothing_and_tells_nothing(key, learners, heard):
    job = rescored(key, is_dry_run=True)
    assert counts(job) == (LEARNERS, LEARNERS, 0, 0)
    for learner in learners:
        assert stored(key, learner) == (None, None, None, None, None, None)
    assert heard == []


def test_an_undo_takes_back_completions_too(key, learners):
    job = rescored(key)
    undone = Worker().run(control.undo(job.pk).pk)
    assert undone.failed == 0
    for learner in learners:
        assert stored(key, learner)[:3] == (None, None, None)


def test_one_learners_failure_stores_nothing_of_that_one_and_is_told_without_their_answer_in_the_log(
    key, learners, heard, caplog
):
    caplog.set_level(logging.INFO)
    Tally.fails_for[learners[5]] = ValueError("could not convert 'secret of learner-5'")
    job = rescored(key)
    assert counts(job) == (LEARNERS, LEARNERS - 1, 0, 1)
    assert stored(key, learners[5])[:3] == (None, None, None)
    assert (learners[5], "grade") not in heard
    note = job.notes.get()
    assert (note.learner_id, note.text) == (learners[5], "ValueError: could not convert 'secret of learner-5'")
    assert f"learner {learners[5]}" in caplog.text
    assert "secret of" not in caplog.text


def test_a_database_that_fails_while_a_block_is_asked_is_no_learners_failure(key, learners):
    """Another database than the jobs', a replica say: what is written would go through."""
    with fail_at("SELECT .* FROM fieldstone_preferences"):
        job = rescored(key)
    assert counts(job) == (LEARNERS, LEARNERS, 0, 0)
