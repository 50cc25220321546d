"""``manage.py fieldstone_job`` and ``fieldstone_jobs``, as an operator uses them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from fieldstone.jobs import planning
from fieldstone.jobs.models import Job, Part
from fieldstone.store import Store
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import check_problem, example

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

CHESS = example("problem", "chess-master")


@pytest.fixture
def learners(django_user_model):
    users = [django_user_model.objects.create_user(f"learner-{number}") for number in range(3)]
    for user in users:
        check_problem(current_course(), user, CHESS, "choice_1")
    return users


def said(*arguments, status=0):
    out = StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except SystemExit as ended:
        assert ended.code == status
    return out.getvalue()


def test_a_job_is_started_worked_on_and_reported(learners):
    text = said("fieldstone_job", "start", "rescore", "--block", str(CHESS))
    assert "finished: 3 of 3 attempted, 3 succeeded, 0 skipped, 0 failed" in text
    text = said("fieldstone_job", "start", "reset-attempts", "--course", str(CHESS.course_key), "--dry-run")
    assert "would have 3 succeeded" in text
    assert Store().read(learners[0], [CHESS])[CHESS].fields["attempts"] == 1


def test_one_learner_of_a_subtree(learners):
    unit = example("vertical", "working-memory")
    said("fieldstone_job", "start", "reset-attempts", "--subtree", str(unit), "--learner", str(learners[1].pk))
    attempts = [Store().read(user, [CHESS])[CHESS].fields["attempts"] for user in learners]
    assert attempts == [1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["start", "rescore", "--course", "course-v1:No+Such+Course"], "There is no course"),
        (["start", "rescore", "--block", "block-v1:No+Such+B+type@problem+block@x"], "has no block"),
        (["start", "rescore", "--subtree", str(example("vertical", "welcome"))], "cannot be done at any block"),
        (["cancel", "99"], "There is no job 99"),
        (["start", "override-score", "--block", str(CHESS), "--score", "7"], "is 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_words(learners, arguments, words):
    with pytest.raises(CommandError, match=words) as caught:
        call_command("fieldstone_job", *arguments)
    assert caught.value.returncode == 2
    assert not Job.objects.exists()


def test_the_list_says_what_each_job_waits_for(learners, settings):
    assert "There are no jobs." in said("fieldstone_jobs")
    first = planning.start("reset-attempts", CHESS.course_key, [CHESS])
    settings.FIELDSTONE = {**settings.FIELDSTONE, "JOBS_OVERLAP": "wait"}
    second = planning.start("delete-state", CHESS.course_key, [CHESS])
    lines = said("fieldstone_jobs").splitlines()
    assert f"waits for a worker: `manage.py fieldstone_job work {first.pk}`" in lines[0]
    assert f"waits for job {first.pk} (reset-attempts, waiting), which is at the same states" in lines[1]
    Part.objects.filter(job=first).update(holder="host 1 x", leased_until="2000-01-01T00:00Z")
    assert "host 1 x has vanished" in said("fieldstone_jobs")
    said("fieldstone_job", "pause", str(second.pk))
    found = [json.loads(line) for line in said("fieldstone_jobs", "--json").splitlines()]
    assert "somebody who resumes it" in found[1]["waits_for"]
    said("fieldstone_job", "work", str(first.pk))
    assert said("fieldstone_jobs").splitlines()[0].endswith("3 of 3, 0 failed")
