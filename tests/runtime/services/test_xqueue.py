"""A submission goes out to an external grader, and its answer comes back to its learner; over real HTTP."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from fieldstone.runtime.services.xqueue import is_signed, signature
from fieldstone.store.store import Store
from tests.runtime.courses import answer, key_in, unit_of
from tests.runtime.services.grader import Grader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ids_forgotten")]

CODE = """<problem url_name="code"><coderesponse queuename="python-queue">
  <textbox rows="10" cols="80" mode="python" tabsize="4"/>
  <codeparam>
    <initial_display># write</initial_display><answer_display>42</answer_display>
    <grader_payload>{"grader": "ps/grade.py"}</grader_payload>
  </codeparam>
</coderesponse></problem>"""

RIGHT = {"correct": True, "score": 1, "msg": "<p>Well done</p>"}


@pytest.fixture
def grader():
    with Grader() as server:
        yield server


@pytest.fixture
def problem(tmp_path, settings, live_server, grader):
    """The key of a problem that the grader grades, in the course that the site has open."""
    xqueue = {"URL": grader.url, "CALLBACK": live_server.url, "USERNAME": "lms", "PASSWORD": "a password"}
    unit = unit_of(tmp_path, CODE)
    settings.FIELDSTONE = {
        **settings.FIELDSTONE,
        "COURSE": tmp_path,
        "XQUEUE": {**xqueue, "QUEUE": "default-queue", "BASIC_AUTH": ("edge", "another"), "WAIT_SECONDS": 60},
    }
    return key_in(unit, "problem", "code")


def hand_in(client, learner, problem, text="print(42)"):
    client.force_login(learner)
    response = post(client, problem, "problem_check", answer(problem, text))
    assert response.status_code == 200
    return response.json()


def post(client, problem, dispatch, form):
    url = reverse("workbench:handlers", args=[str(problem)]) + f"xmodule_handler/{dispatch}"
    return client.post(url, form, content_type="application/x-www-form-urlencoded")


def state_of(learner, problem):
    return Store().read(learner, [problem])[problem]


def test_what_a_learner_hands_in_is_graded_outside_and_the_score_is_theirs(client, ada, bob, problem, grader):
    hand_in(client, bob, problem, "print(41)")
    grader.received()
    hand_in(client, ada, problem)
    header, body = grader.received()
    assert header["queue_name"] == "python-queue"
    assert body["student_response"] == "print(42)"
    assert json.loads(body["grader_payload"]) == {"grader": "ps/grade.py"}
    assert "ada" not in json.dumps(body)
    (waiting,) = state_of(ada, problem).fields["correct_map"].values()
    assert (waiting["correctness"], waiting["queuestate"]["key"]) == ("incomplete", header["lms_key"])

    assert grader.post(header["lms_callback_url"], header, RIGHT)[0] == 200
    assert (state_of(ada, problem).grade, state_of(ada, problem).max_grade) == (1, 1)
    (graded,) = state_of(ada, problem).fields["correct_map"].values()
    assert (graded["correctness"], graded["queuestate"], graded["msg"]) == ("correct", None, "<p>Well done</p>")
    (waiting,) = state_of(bob, problem).fields["correct_map"].values()
    assert waiting["correctness"] == "incomplete"


def test_the_queue_is_logged_in_to_with_what_is_set(client, ada, problem, grader):
    hand_in(client, ada, problem)
    grader.received()
    paths = [path for path, _, _ in grader.requests]
    assert paths == ["/xqueue/submit/", "/xqueue/login/", "/xqueue/submit/"]
    assert {authorization for _, _, authorization in grader.requests} == {"Basic ZWRnZTphbm90aGVy"}


def test_a_learner_waits_as_long_as_is_set_before_handing_in_again(client, ada, problem, grader):
    hand_in(client, ada, problem)
    assert "at least 60" in hand_in(client, ada, problem)["success"]


def test_an_answer_counts_once(client, ada, problem, grader):
    hand_in(client, ada, problem)
    header, _ = grader.received()
    assert grader.post(header["lms_callback_url"], header, RIGHT)[0] == 200
    wrong = {"correct": False, "score": 0, "msg": "<p>No</p>"}
    status, reply = grader.post(header["lms_callback_url"], header, wrong)
    assert (status, "Nothing waits" in reply["error"]) == (409, True)
    assert state_of(ada, problem).grade == 1


def test_an_answer_under_another_key_is_refused(client, ada, problem, grader):
    hand_in(client, ada, problem)
    header, _ = grader.received()
    assert grader.post(header["lms_callback_url"], {**header, "lms_key": "0" * 32}, RIGHT)[0] == 409
    assert state_of(ada, problem).grade == 0


def test_an_address_is_good_for_its_learner_problem_and_dispatch_alone(client, ada, bob, problem, grader):
    hand_in(client, ada, problem)
    header, _ = grader.received()
    url = header["lms_callback_url"]
    for wrong in (
        url.replace(f"/{ada.pk}/", f"/{bob.pk}/"),
        url.replace("block@code", "block@other"),
        url.replace("score_update", "ungraded_response"),
        url.replace("score_update", "problem_check"),
    ):
        assert wrong != url
        assert grader.post(wrong, header, RIGHT)[0] == 404
    assert state_of(ada, problem).grade == 0


@pytest.mark.parametrize("dispatch", ["score_update", "ungraded_response"])
def test_a_learner_cannot_answer_for_the_grader(client, ada, problem, grader, dispatch):
    """A problem makes its keys of what a learner may know, so the key alone proves nothing."""
    hand_in(client, ada, problem)
    header, _ = grader.received()
    form = urlencode({"queuekey": header["lms_key"], "xqueue_body": json.dumps(RIGHT)})
    assert post(client, problem, dispatch, form).status_code == 404
    assert state_of(ada, problem).grade == 0


@pytest.mark.parametrize("header", ["not a dict", {}, None, {"submission_id": 1}])
def test_a_message_that_is_none_is_a_bad_request(client, ada, problem, grader, header):
    hand_in(client, ada, problem)
    url = grader.received()[0]["lms_callback_url"]
    assert grader.post(url, header, RIGHT)[0] == 400


def test_an_answer_for_an_account_that_is_gone_is_not_found(client, ada, problem, grader):
    hand_in(client, ada, problem)
    header, _ = grader.received()
    ada.delete()
    assert grader.post(header["lms_callback_url"], header, RIGHT)[0] == 404


def test_a_learner_is_told_that_the_grader_is_down_and_nothing_waits(client, ada, problem, settings):
    with Grader() as gone:
        url = gone.url
    settings.FIELDSTONE["XQUEUE"]["URL"] = url
    assert "Unable to deliver your submission" in hand_in(client, ada, problem)["contents"]
    (entry,) = state_of(ada, problem).fields["correct_map"].values()
    assert entry["queuestate"] is None


def test_a_site_without_a_grader_says_so_in_the_problem(client, ada, problem, settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "XQUEUE": None}
    assert "No grader has been set up" in hand_in(client, ada, problem)["contents"]


def test_a_signature_outlives_a_change_of_the_secret_key_by_its_fallbacks(settings):
    made = signature("block-v1:a", 7, "score_update")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert is_signed(made, "block-v1:a", 7, "score_update")
    settings.SECRET_KEY_FALLBACKS = []
    assert not is_signed(made, "block-v1:a", 7, "score_update")
