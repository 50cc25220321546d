"""What holds a block's script to its own learner's fields: tokens, policies, sandboxes."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from fieldstone.store.models import StudentModule, XModuleUserStateSummaryField
from fieldstone.workbench.checks import POLICY as STRICT
from fieldstone.workbench.checks import check_middleware
from fieldstone.workbench.courses import current_course, units_of
from tests.runtime.courses import example
from tests.workbench.pages import handler_url, policy_of, send, state_url, unit_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


@pytest.fixture
def strict(ada):
    """A browser of ada's, which Django checks for its token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    return client


# The token


def test_a_handler_needs_the_token_that_its_page_has(strict):
    poll = example("poll", "study-habit")
    assert send(strict, poll, "vote", {"choice": "recall"}).status_code == 403
    assert send(strict, poll, "vote", {"choice": "recall"}, headers={"X-CSRFToken": "x" * 32}).status_code == 403
    assert not StudentModule.objects.exists()
    page = strict.get(unit_url(poll)).content.decode()
    token = re.search(r'<meta name="csrf-token" content="(\w+)">', page)[1]
    assert send(strict, poll, "vote", {"choice": "recall"}, headers={"X-CSRFToken": token}).status_code == 200


@pytest.mark.parametrize("path", ["/learners/create/", "/learners/switch/"])
def test_the_switcher_needs_a_token(path, ada, bob):
    client = Client(enforce_csrf_checks=True)
    assert client.post(path, {"name": "new", "learner": bob.pk}).status_code == 403
    assert "_auth_user_id" not in client.session
    page = client.get("/learners/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    sent = {"name": "new", "learner": bob.pk, "csrfmiddlewaretoken": token}
    assert client.post(path, sent).status_code == 302
    assert "_auth_user_id" in client.session


def test_a_token_is_no_learner(client):
    """A visitor's vote is nobody's but the visitor's."""
    client = Client(enforce_csrf_checks=True)
    poll = example("poll", "study-habit")
    page = client.get(unit_url(poll)).content.decode()
    token = re.search(r'<meta name="csrf-token" content="(\w+)">', page)[1]
    response = send(client, poll, "vote", {"choice": "recall"}, headers={"X-CSRFToken": token})
    assert response.status_code == 200
    assert "recall" in client.get(state_url(poll)).content.decode()
    assert "recall" not in Client().get(state_url(poll)).content.decode()
    assert not StudentModule.objects.exists()
    assert not XModuleUserStateSummaryField.objects.exists()


@pytest.mark.parametrize(
    ("block", "handler"),
    [
        ("poll/study-habit", "vote"),
        ("done/plan-made", "toggle_button"),
        ("feedback/what-you-take", "feedback"),
        ("word_cloud/what-stays", "submit_state"),
        ("word_cloud/what-stays", "handle_submit_state"),
        ("problem/q01-who-measured", "xmodule_handler/problem_check"),
        ("problem/q01-who-measured", "xmodule_handler/problem_save"),
    ],
)
def test_a_get_writes_nothing(strict, block, handler):
    """A link or a picture carries no token: what it calls must not store, not even an attempt."""
    query = "choice=recall&done=true&vote=1&input_q01-who-measured_2_1=choice_1"
    strict.get(f"{handler_url(example(*block.split('/')), handler)}?{query}")
    assert not StudentModule.objects.exists()


# Policies


def test_a_unit_page_calls_blocks_and_nothing_else(client, ada):
    client.force_login(ada)
    for unit in units_of(current_course()):
        policy = policy_of(client.get(unit_url(unit.usage_key)))
        assert policy["connect-src"] == policy["form-action"] == ["http://testserver/xblock/"]


def test_a_unit_page_loads_nothing_from_other_hosts_but_pictures_and_frames(client, ada):
    client.force_login(ada)
    policy = policy_of(client.get(unit_url(example("vertical", "welcome"))))
    assert policy["default-src"] == ["'self'"]
    for name in ("worker-src", "object-src", "base-uri"):
        assert policy[name] == ["'none'"]
    own = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "http://testserver/xblock/"}
    reaching = {name for name, sources in policy.items() if not set(sources) <= own}
    assert reaching == {"img-src", "media-src", "frame-src"}
    assert policy["frame-src"] == ["https:", "http://testserver/xblock/"]


def test_a_unit_page_has_no_script_or_style_of_another_host_in_it(client, ada):
    client.force_login(ada)
    for unit in units_of(current_course()):
        page = client.get(unit_url(unit.usage_key)).content.decode()
        loaded = re.findall(r"<(?:script|link)\b[^>]*(?:src|href)=[\"']([^\"']*)", page)
        assert loaded
        assert [url for url in loaded if not re.match(r"/(static|xblock)/", url)] == []


@pytest.mark.parametrize("path", ["/", "/learners/"])
def test_a_page_that_blocks_must_not_drive_is_in_no_frame_and_has_no_opener(client, path):
    response = client.get(path)
    assert policy_of(response)["frame-ancestors"] == ["'none'"]
    assert policy_of(response)["default-src"] == ["'self'"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["Cross-Origin-Opener-Policy"] == "noopener-allow-popups"


def test_a_refused_name_shows_the_same_guarded_page(client):
    response = client.post("/learners/create/", {"name": ""})
    assert policy_of(response)["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize("path", ["asset/spacing.svg", "resource/done/public/check-full.png"])
def test_a_file_of_a_course_or_block_is_sandboxed(client, path):
    """A picture in SVG, or a page in HTML, opened on its own would run as the workbench's page."""
    response = client.get(f"/xblock/{path}")
    response.close()
    assert is_sandboxed(response)


def is_sandboxed(response):
    sandbox = policy_of(response)["sandbox"]
    return "allow-same-origin" not in sandbox and response["X-Content-Type-Options"] == "nosniff"


def test_what_a_handler_answers_is_sandboxed_good_or_bad(client, ada):
    poll = example("poll", "study-habit")
    assert is_sandboxed(send(client, poll, "vote", {"choice": "recall"}))
    client.force_login(ada)
    for name, body in (("vote", {"choice": "recall"}), ("vote", "{"), ("no_such_handler", {})):
        assert is_sandboxed(send(client, poll, name, body))
    assert is_sandboxed(send(client, "nonsense", "vote", {}))


def test_the_panel_of_what_is_stored_is_in_no_frame(client, ada):
    client.force_login(ada)
    response = client.get(f"/xblock/{example('poll', 'study-habit')}/state/")
    assert response["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("middleware", [[], ["django.middleware.common.CommonMiddleware", STRICT], None])
def test_a_check_asks_for_the_middleware(settings, middleware):
    if middleware is None:
        assert check_middleware(None) == []
        return
    settings.MIDDLEWARE = middleware
    (error,) = check_middleware(None)
    assert error.id == "fieldstone_workbench.E001"
    assert STRICT in error.hint


def test_an_answer_from_a_page_of_the_learner_before_is_refused(strict, ada, bob):
    """Two tabs: the first still shows Ada's page when the session is Bob's; its token is worth nothing now."""
    done = example("done", "plan-made")
    page = strict.get(unit_url(done)).content.decode()
    token = {"X-CSRFToken": re.search(r'<meta name="csrf-token" content="(\w+)">', page)[1]}
    assert send(strict, done, "toggle_button", {"done": True}, headers=token).status_code == 200
    switcher = strict.get("/learners/").content.decode()
    form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', switcher)[1]
    strict.post("/learners/switch/", {"learner": bob.pk, "csrfmiddlewaretoken": form})
    assert send(strict, done, "toggle_button", {"done": True}, headers=token).status_code == 403
    assert not StudentModule.objects.filter(student=bob).exists()
