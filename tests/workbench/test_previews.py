"""Who is let into the author's views, and what comes of what they send."""

from __future__ import annotations

import pytest
from django.test import Client

from fieldstone.runtime.wiring import viewers
from fieldstone.store.models import StudentModule
from tests.runtime.courses import COURSE_XML, course_files, example
from tests.workbench.pages import state_url, unit_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

POLL = example("poll", "study-habit")
PAGE = f"/block/{POLL}/studio_view/"
VOTE = f"/xblock/preview/{POLL}/handler/vote"


@pytest.fixture(autouse=True)
def nothing_previewed():
    """The database counts its users anew in each test; the memory of this process goes on."""
    viewers._in_memory.cache_clear()


@pytest.fixture
def on_a_server(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "LEARNER_SWITCHER": False}


def vote(client):
    return client.post(VOTE, '{"choice": "recall"}', content_type="application/json")


def assert_refused(client):
    for response in (client.get(PAGE), vote(client)):
        assert response.status_code == 403
        assert "Previews are for authors" in response.content.decode()
    assert "Author’s views" not in client.get(unit_url(POLL)).content.decode()


def test_visitors_are_refused(client):
    assert_refused(client)


def test_a_learner_is_refused_where_the_switcher_is_off(client, ada, on_a_server):
    client.force_login(ada)
    assert_refused(client)


@pytest.mark.parametrize("is_staff", [True, False])
def test_staff_are_let_in_anywhere_and_learners_where_the_switcher_is_on(client, ada, settings, is_staff):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "LEARNER_SWITCHER": not is_staff}
    ada.is_staff = is_staff
    ada.save()
    client.force_login(ada)
    assert client.get(PAGE).status_code == 200
    assert vote(client).json()["success"]
    assert "recall" not in client.get(state_url(POLL)).content.decode()
    assert not StudentModule.objects.exists()
    assert PAGE.replace("studio", "author") in client.get(unit_url(POLL)).content.decode()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (PAGE.replace("studio_view", "public_view"), "There is nothing at this address."),
        (PAGE.replace("study-habit", "no-such"), "There is nothing at this address."),
    ],
)
def test_what_is_no_view_or_no_block_is_a_page_that_says_so(client, ada, path, words):
    client.force_login(ada)
    response = client.get(path)
    assert response.status_code == 404
    assert words in response.content.decode()


def test_a_preview_takes_a_token_as_a_learners_page_does(ada):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert vote(strict).status_code == 403
    strict.get(PAGE)
    token = strict.cookies["csrftoken"].value
    answer = strict.post(
        VOTE, '{"choice": "recall"}', content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 200


def test_a_link_that_an_author_follows_edits_nothing(client, ada, tmp_path, settings, odd_blocks):
    """A GET carries no CSRF token, so another site may have made it."""
    unit = '<vertical url_name="u"><test-scribbler url_name="s"/></vertical>'
    chapter = f"<chapter><sequential>{unit}</sequential></chapter>"
    course = course_files(tmp_path, {"course.xml": COURSE_XML.format(chapter)})
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": course}
    client.force_login(ada)
    url = "/xblock/preview/block-v1:Org+Course+run+type@test-scribbler+block@s/handler/scribble"
    assert client.get(url).status_code == 405
