"""Who one is in the workbench: made, switched to, and never told by the request."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import UserManager
from django.test import Client

from fieldstone.store.models import StudentModule
from fieldstone.store.store import Store
from fieldstone.testing import fail_at
from tests.runtime.courses import example
from tests.workbench.pages import send, send_answer, state_url, unit_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


def current(client):
    return get_user(client).get_username() or None


def create(client, name, **more):
    return client.post("/learners/create/", {"name": name, **more})


def switch(client, learner, **more):
    return client.post("/learners/switch/", {"learner": learner, **more})


# Making a learner


def test_a_new_learner_is_the_current_one(client):
    response = create(client, "ada")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert current(client) == "ada"
    assert not get_user_model().objects.get().has_usable_password()
    assert "ada" in client.get("/").content.decode()


@pytest.mark.parametrize("name", ["ada.l-1_@+", "Ådä", "学生", "n" * 30, "  padded  "])
def test_good_names(client, name):
    assert create(client, name).status_code == 302
    assert current(client) == name.strip()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "This field is required."),
        ("   ", "This field is required."),
        ("two words", "no spaces"),
        ("a<script>", "no spaces"),
        ("a\nb", "no spaces"),
        ("a\x00b", "Null characters"),
        ("n" * 31, "at most 30 characters"),
    ],
)
def test_bad_names_are_refused_with_the_reason(client, name, words):
    response = create(client, name)
    assert response.status_code == 400
    assert words in response.content.decode()
    assert "a<script>" not in response.content.decode()
    assert not get_user_model().objects.exists()
    assert current(client) is None


@pytest.mark.parametrize("name", ["ada", "ADA", "Ada"])
def test_a_name_that_is_taken_is_refused_in_any_case(client, ada, name):
    response = create(client, name)
    assert response.status_code == 400
    assert "There is an account of this name already" in response.content.decode()
    assert get_user_model().objects.count() == 1
    assert current(client) is None


def test_the_form_of_a_refused_name_keeps_where_one_was_going(client):
    page = create(client, "two words", next="/unit/x/").content.decode()
    assert '<input type="hidden" name="next" value="/unit/x/">' in page


@pytest.mark.parametrize("name", ["ada", "Ada"])
def test_a_name_that_is_taken_while_it_is_looked_for_is_refused_too(client, monkeypatch, name):
    create_user = UserManager.create_user

    def forestalled(self, username):
        self.create(username=username)
        return create_user(self, username)

    monkeypatch.setattr(UserManager, "create_user", forestalled)
    response = create(client, name)
    assert response.status_code == 400
    assert "There is an account of this name already" in response.content.decode()
    assert current(client) is None


# What a visitor did

QUESTION = example("problem", "q01-who-measured")


@pytest.fixture
def visiting(client, transactional_db):
    """A visitor has answered."""
    client.raise_request_exception = False
    client.get(unit_url(QUESTION))
    send_answer(client, QUESTION, "choice_1")
    return client


def shown(client):
    return client.get(state_url(QUESTION)).content.decode()


def test_what_a_visitor_did_is_the_new_learners(visiting):
    create(visiting, "ada")
    assert "choice_1" in shown(visiting)
    assert Store().read(get_user(visiting), [QUESTION])[QUESTION].revision == 1


def test_where_it_cannot_be_made_theirs_there_is_no_learner_and_the_visitor_is_as_before(visiting):
    with fail_at(re.compile("INSERT INTO fieldstone_student_module ")):
        assert create(visiting, "ada").status_code == 500
    assert not get_user_model().objects.exists()
    assert "choice_1" in shown(visiting)
    assert create(visiting, "ada").status_code == 302
    assert "choice_1" in shown(visiting)


def test_of_two_learners_made_of_one_visitor_one_has_what_the_visitor_did(visiting):
    late = dict(visiting.session.items())
    create(visiting, "ada")
    other = Client()
    session = other.session
    session.update(late)
    session.save()
    assert create(other, "bob").status_code == 302
    assert "choice_1" in shown(visiting)
    assert current(other) == "bob"
    assert "choice_1" not in shown(other)


def test_what_a_visitor_did_before_they_became_a_learner_is_not_the_next_ones(visiting, ada):
    switch(visiting, ada.pk)
    create(visiting, "bob")
    assert "choice_1" not in shown(visiting)


# Switching


def test_one_goes_back_to_an_earlier_learner(client):
    create(client, "ada")
    ada = get_user(client)
    create(client, "bob")
    assert switch(client, ada.pk, next="/unit/x/")["Location"] == "/unit/x/"
    assert current(client) == "ada"


def test_the_session_of_the_learner_before_does_not_go_on(client, ada, bob):
    switch(client, ada.pk)
    before = client.session.session_key
    switch(client, bob.pk)
    assert client.session.session_key != before


@pytest.mark.parametrize("learner", ["0", "-1", "999999", "ada", "", "1 OR 1=1", "9" * 30])
def test_a_learner_that_does_not_exist_is_refused(client, ada, learner):
    response = client.post("/learners/switch/", {"learner": learner}, follow=True)
    assert "There is no such learner." in response.content.decode()
    assert current(client) is None


REAL_ACCOUNTS = {
    "staff": {"is_staff": True},
    "superuser": {"is_superuser": True},
    "inactive": {"is_active": False},
    "with a password": {"password": "secret"},
}


@pytest.mark.parametrize("account", REAL_ACCOUNTS.values(), ids=REAL_ACCOUNTS)
def test_nobody_becomes_a_real_account(client, ada, account):
    """Neither offered nor switched to."""
    real = get_user_model().objects.create_user("somebody", **account)
    switch(client, ada.pk)
    assert "somebody" not in client.get("/learners/").content.decode()
    response = client.post("/learners/switch/", {"learner": real.pk}, follow=True)
    assert "There is no such learner." in response.content.decode()
    assert current(client) == "ada"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        " //evil.example",
        "https://testserver@evil.example/",
        "https://testserver.evil.example/",
    ],
)
def test_one_is_not_sent_to_another_host(client, ada, elsewhere):
    assert switch(client, ada.pk, next=elsewhere)["Location"] == "/"
    assert create(client, "new", next=elsewhere)["Location"] == "/"


# Where the switcher is off


@pytest.fixture
def on_a_server(settings):
    settings.DEBUG = False
    settings.FIELDSTONE = {"COURSE": settings.FIELDSTONE["COURSE"]}


@pytest.mark.parametrize("path", ["/learners/", "/learners/create/", "/learners/switch/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_debug_the_switcher_is_off_and_says_how_to_turn_it_on(client, ada, on_a_server, path, method):
    response = getattr(client, method)(path, {"name": "new", "learner": ada.pk})
    assert response.status_code == 403
    assert "The learner switcher is off" in response.content.decode()
    assert "FIELDSTONE = {&quot;LEARNER_SWITCHER&quot;: True}" in response.content.decode()
    assert current(client) is None
    assert get_user_model().objects.count() == 1


def test_units_work_where_the_switcher_is_off(client, ada, on_a_server):
    """For whoever signed in by the site's own means."""
    client.force_login(ada)
    assert client.get(unit_url(example("vertical", "welcome"))).status_code == 200
    assert send(client, example("poll", "study-habit"), "vote", {"choice": "recall"}).status_code == 200


def test_with_debug_the_switcher_is_on(client, on_a_server, settings):
    settings.DEBUG = True
    assert client.get("/learners/").status_code == 200


# Whose state it is


def test_two_learners_are_kept_apart(ada, bob):
    question = example("problem", "q01-who-measured")
    of_ada, of_bob = Client(), Client()
    of_ada.force_login(ada)
    of_bob.force_login(bob)
    send_answer(of_ada, question, "choice_1")
    send_answer(of_bob, question, "choice_0")
    send_answer(of_bob, question, "choice_2")
    pages = [client.get(unit_url(question)).content.decode() for client in (of_ada, of_bob)]
    assert ['data-attempts-used="1"' in page for page in pages] == [True, False]
    assert ['data-attempts-used="2"' in page for page in pages] == [False, True]
    states = {row.student_id: row for row in StudentModule.objects.filter(usage__key=str(question))}
    assert '"choice_1"' in states[ada.pk].state
    assert '"choice_2"' in states[bob.pk].state


@pytest.mark.parametrize("name", ["user_id", "user", "student", "student_id", "learner", "username", "sessionid"])
@pytest.mark.parametrize("value", ["pk", "username"])
def test_no_part_of_a_request_says_whose_state_it_is(client, ada, bob, name, value):
    """Not the query, the body, a header or a cookie, whatever its name."""
    done = example("done", "plan-made")
    Store().save(bob, {done: {"done": False, "mark": "of bob"}})
    client.force_login(ada)
    other = str(getattr(bob, value))
    headers = {f"X-{name.replace('_', '-')}": other, "Remote-User": "bob", "Authorization": "Basic Ym9iOg=="}
    if name != "sessionid":
        client.cookies[name] = other
    url = f"/xblock/{done}/handler/toggle_button?{name}={other}"
    body = {"done": True, name: other}
    response = client.post(url, body, content_type="application/json", headers=headers)
    assert response.status_code == 200
    panel = client.get(state_url(done), {name: other}, headers=headers).content.decode()
    assert "of bob" not in panel
    assert Store().read(bob, [done])[done].revision == 1
    assert dict(Store().read(ada, [done])[done].fields) == {"done": True}
    page = client.get(unit_url(done), {name: other}, headers=headers)
    assert page.context["learner"] == "ada"


@pytest.mark.parametrize("suffix", ["2", "bob", "user/bob", "../handler"])
def test_a_suffix_does_not_either(client, ada, bob, suffix):
    client.force_login(ada)
    done = example("done", "plan-made")
    client.post(f"/xblock/{done}/handler/toggle_button/{suffix}", {"done": True}, content_type="application/json")
    assert done not in Store().read(bob, [done])
