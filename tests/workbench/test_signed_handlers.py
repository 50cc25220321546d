"""Handlers that others call: no session and no CSRF token, but an address that this site gave out."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from fieldstone.store.models import StudentModule
from fieldstone.workbench import signatures
from tests.runtime.courses import example
from tests.workbench.pages import unit_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

POLL = example("poll", "study-habit")
CLOUD = example("word_cloud", "what-stays")
READ = "handle_get_state"


@pytest.fixture
def others():
    """A client without a session that is held to CSRF tokens, as everybody is."""
    return Client(enforce_csrf_checks=True)


def address(usage_key, name):
    return f"/xblock/signed/{signatures.of(str(usage_key))}/{usage_key}/handler/{name}"


def called(client, url):
    return client.post(url, "{}", content_type="application/json")


def test_a_units_page_gives_out_addresses_with_scheme_and_host(client, ada):
    client.force_login(ada)
    page = client.get(unit_url(example("vertical", "how-you-study")), secure=True).content.decode()
    (given,) = re.findall(rf'data-thirdparty-url="([^"]*{re.escape(str(CLOUD))}[^"]*)"', page)
    assert given == f"https://testserver{address(CLOUD, '')}"


def test_others_reach_a_handler_by_a_signed_address_and_by_no_other(others):
    assert called(others, f"/xblock/{CLOUD}/handler/{READ}").status_code == 403
    response = called(others, address(CLOUD, READ))
    assert response.status_code == 200
    assert json.loads(response.content)["submitted"] is False
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("signature", ["0" * 32, signatures._SALT, "x"])
def test_a_wrong_signature_is_refused(others, signature):
    response = called(others, f"/xblock/signed/{signature}/{CLOUD}/handler/{READ}")
    assert response.status_code == 403
    assert "not given out by this site" in json.loads(response.content)["error"]


def test_the_signature_of_another_block_is_refused(others):
    other = signatures.of(str(example("problem", "chess-master")))
    assert called(others, f"/xblock/signed/{other}/{CLOUD}/handler/{READ}").status_code == 403


def test_an_address_outlives_a_change_of_the_secret_key_as_sessions_do(others, settings):
    given = address(CLOUD, READ)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    assert called(others, given).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert called(others, given).status_code == 403


def test_a_learners_cookie_counts_for_nothing_at_a_signed_address(ada):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    response = client.post(address(POLL, "vote"), '{"choice": "recall"}', content_type="application/json")
    assert response.status_code == 403
    assert not StudentModule.objects.exists()
