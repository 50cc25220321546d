"""Who is taken for whom: a visit begins with a page, and a region in memory is one for all threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from fieldstone.runtime.wiring import Viewer
from fieldstone.runtime.wiring.viewers import region_of, visitor_of
from tests.runtime.courses import example
from tests.workbench.pages import send, unit_url

THREADS = 4


@pytest.mark.django_db
@pytest.mark.usefixtures("ids_forgotten")
class TestVisits:
    POLL = example("poll", "study-habit")

    def vote(self, client):
        return send(client, self.POLL, "vote", {"choice": "recall"})

    def test_a_handler_without_a_visit_is_refused_and_begins_none(self, client):
        response = self.vote(client)
        assert response.status_code == 403
        assert "load the page again" in response.json()["error"]
        assert not client.cookies

    def test_a_page_begins_a_visit_and_its_handlers_are_the_visitors(self, client):
        client.get(unit_url(self.POLL))
        visitor = visitor_of(client.session)
        assert self.vote(client).status_code == 200
        client.get(unit_url(self.POLL))
        assert visitor_of(client.session) == visitor

    def test_a_learner_whose_session_has_ended_is_told_to_load_the_page_again(self, ada):
        client = Client()
        client.force_login(ada)
        client.get(unit_url(self.POLL))
        client.session.flush()
        assert self.vote(client).status_code == 403
        client.get(unit_url(self.POLL))
        assert self.vote(client).status_code == 200

    def test_a_visitors_pseudonym_is_theirs_from_the_page_on(self):
        pseudonyms = []
        for client in (Client(), Client()):
            client.get(unit_url(self.POLL))
            before = Viewer(AnonymousUser(), client.session).pseudonym("course")
            self.vote(client)
            assert Viewer(AnonymousUser(), client.session).pseudonym("course") == before
            pseudonyms.append(before)
        assert len(set(pseudonyms)) == 2


def test_threads_that_ask_for_a_region_in_memory_at_once_get_the_same():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    together = Barrier(THREADS)

    def ask(name):
        together.wait()
        return region_of(name)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for number in range(100):
                assert len(set(pool.map(ask, [f"of-test-{number}"] * THREADS))) == 1
    finally:
        sys.setswitchinterval(interval)
