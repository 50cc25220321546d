"""The published problem, graded again in bulk."""

from __future__ import annotations

import pytest

from fieldstone.jobs import planning
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.models import Status
from fieldstone.jobs.worker import Worker
from fieldstone.runtime.events import block_published
from fieldstone.store import Store
from fieldstone.testing import query_budget
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import check_problem, example

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

CHESS = example("problem", "chess-master")
RIGHT, WRONG = "choice_1", "choice_0"


@pytest.fixture
def learners(django_user_model):
    """Twenty learners who have answered by turns rightly and wrongly, and one who only looked."""
    users = [django_user_model.objects.create_user(f"learner-{number}") for number in range(21)]
    for number, user in enumerate(users[:20]):
        check_problem(current_course(), user, CHESS, RIGHT if number % 2 else WRONG)
    Store().save(users[20], {CHESS: {"seed": 1}})
    return users


def rescored(**options):
    job = planning.start("rescore", CHESS.course_key, [CHESS], options=options)
    return Worker().run(job.pk)


def grades(users):
    return [Store().read(user, [CHESS])[CHESS].grade for user in users]


def spoil(users, grade):
    """Grades as a mistake in the problem had made them: with the score that the block keeps."""
    from fieldstone.store.states import Grade

    for user in users:
        score = Store().read(user, [CHESS])[CHESS].fields["score"]
        changed = {"score": {**score, "raw_earned": grade}}
        Store().save(user, {CHESS: changed}, grades={CHESS: Grade(grade, 1.0)})


def test_all_that_were_answered_get_what_the_problem_says_now(learners):
    right = grades(learners)
    assert right[:4] == [0.0, 1.0, 0.0, 1.0]
    spoil(learners[:20], 0.5)
    job = rescored()
    assert (job.status, job.attempted, job.succeeded, job.skipped, job.failed) == (Status.FINISHED, 21, 20, 1, 0)
    assert grades(learners) == right
    assert Store().history(learners[0], CHESS)[0].origin == f"job:{job.pk}"


def test_only_if_higher_takes_nothing_away(learners):
    spoil(learners[:20], 0.5)
    rescored(only_if_higher=True)
    assert grades(learners[:4]) == [0.5, 1.0, 0.5, 1.0]


def test_events_are_told_once_it_is_stored(learners):
    heard = []

    def hear(sender, **event):
        heard.append((event["event_type"], Store().read(event["user"], [CHESS])[CHESS].revision))

    block_published.connect(hear)
    try:
        rescored()
    finally:
        block_published.disconnect(hear)
    assert {revision for _, revision in heard} == {2}
    assert [event_type for event_type, _ in heard].count("problem_rescore") == 20


def test_a_chunk_costs_the_same_whatever_the_number_of_learners(learners):
    with query_budget(32):  # of the whole job; twenty learners or two thousand
        rescored()


def test_a_learner_whose_account_is_gone_is_a_failure_and_the_rest_go_on(learners):
    gone = learners[3].pk
    type(learners[3]).objects.filter(pk=gone)._raw_delete("default")
    job = rescored()
    assert (job.succeeded, job.failed) == (19, 1)
    assert job.notes.get().text == "There is no such account any more."


def test_a_block_that_cannot_be_rescored_is_refused(learners):
    poll = example("poll", "study-habit")
    with pytest.raises(JobRefusedError, match="has no rescore"):
        planning.start("rescore", poll.course_key, [CHESS, poll])


def overridden(score, users, **more):
    job = planning.start(
        "override-score",
        CHESS.course_key,
        [CHESS],
        options={"score": score},
        learners=[u.pk for u in users],
        **more,
    )
    return Worker().run(job.pk)


def test_a_score_is_overridden_also_of_who_was_never_there(learners, django_user_model):
    newcomer = django_user_model.objects.create_user("newcomer")
    job = overridden(0.25, [learners[0], newcomer])
    assert (job.attempted, job.succeeded, job.failed) == (2, 2, 0), [note.text for note in job.notes.all()]
    assert grades([learners[0], newcomer]) == [0.25, 0.25]
    assert grades(learners[1:2]) == [1.0]


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_a_score_out_of_range_is_refused_before_anything_is_written(learners, score):
    with pytest.raises(JobRefusedError):
        overridden(score, learners[:1])
