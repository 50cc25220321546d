"""What is too long is refused before anything of it is read, and by the same words whatever it is."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client

from tests.runtime.courses import example
from tests.workbench.pages import handler_url, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

POLL = example("poll", "study-habit")
URL = handler_url(POLL, "vote")


@pytest.fixture
def spooled(monkeypatch):
    """The pieces of uploads that are written to disk."""
    pieces = []
    monkeypatch.setattr(TemporaryFileUploadHandler, "receive_data_chunk", lambda *args: pieces.append(args))
    return pieces


@pytest.mark.parametrize("prefix", ["/xblock/", "/xblock/preview/"])
def test_an_upload_that_is_too_long_is_refused_before_its_token_is_looked_for(settings, ada, spooled, prefix):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "MAX_UPLOAD_BYTES": 1000}
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    file = SimpleUploadedFile("a.bin", b"x" * 3_000_000)
    response = client.post(URL.replace("/xblock/", prefix), {"file": file})
    assert (response.status_code, spooled) == (413, [])
    assert "1,000 bytes" in json.loads(response.content)["error"]


def test_a_form_that_is_longer_than_django_takes_is_refused_as_a_handler_answers(client, ada):
    client.force_login(ada)
    response = client.post(URL, "a=" + "x" * 3_000_000, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 413
    assert json.loads(response.content)["error"]


@pytest.mark.parametrize("length", ["abc", "-1"])
def test_a_length_that_is_none_is_no_error_of_the_server(client, ada, length):
    client.force_login(ada)
    assert client.post(URL, "{}", content_type="application/json", CONTENT_LENGTH=length).status_code == 400


def test_a_handler_needs_a_token_still(ada):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert send(client, POLL, "vote", {"choice": "recall"}).status_code == 403


def test_a_handlers_address_may_end_with_a_slash(client, ada):
    client.force_login(ada)
    response = client.post(f"{URL}/", '{"choice": "recall"}', content_type="application/json")
    assert response.json()["success"] is True
