"""Whose files they are: a visitor's are no other visitor's, and a preview's not the author's own."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore

from fieldstone.runtime.wiring import Mode, Viewer
from fieldstone.runtime.wiring.errors import NobodyError
from fieldstone.runtime.wiring.viewers import begin_visit
from fieldstone.workbench.pages import runtime_for
from tests.runtime.courses import key_in, unit_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten", "asking_blocks")]


@pytest.fixture
def keeper(tmp_path, settings):
    """The block of ``mine`` and ``ours``, for a viewer."""
    settings.MEDIA_ROOT = tmp_path / "media"
    course = unit_of(tmp_path / "course", '<test-keeper url_name="k"/>')
    return lambda viewer: runtime_for(course, viewer, "test").get_block(key_in(course, "test-keeper", "k"))


@pytest.fixture
def visitor():
    """Makes a visitor."""

    def begun():
        session = SessionStore()
        begin_visit(session)
        return Viewer(AnonymousUser(), session)

    return begun


def test_a_visitors_files_are_no_other_visitors(keeper, visitor):
    first, second = visitor(), visitor()
    keeper(first).mine.writetext("a.txt", "first")
    assert keeper(first).mine.readtext("a.txt") == "first"
    assert not keeper(second).mine.exists("a.txt")


def test_a_previews_files_are_not_the_authors_own(keeper, ada, bob):
    keeper(Viewer(ada)).mine.writetext("a.txt", "own")
    preview = keeper(Viewer(ada, mode=Mode.PREVIEW))
    assert not preview.mine.exists("a.txt")
    preview.mine.writetext("a.txt", "preview")
    assert keeper(Viewer(ada, mode=Mode.PREVIEW)).mine.readtext("a.txt") == "preview"
    assert keeper(Viewer(ada)).mine.readtext("a.txt") == "own"
    assert not keeper(Viewer(bob, mode=Mode.PREVIEW)).mine.exists("a.txt")


def test_files_of_all_are_visitors_too(keeper, visitor, ada):
    keeper(Viewer(ada)).ours.writetext("a.txt", "ours")
    assert keeper(visitor()).ours.readtext("a.txt") == "ours"


@pytest.mark.parametrize("session", [None, SessionStore()])
def test_without_a_visit_there_is_no_folder(keeper, session, tmp_path):
    with pytest.raises(NobodyError):
        keeper(Viewer(AnonymousUser(), session)).mine  # noqa: B018  # the field is loaded as it is read
    assert not (tmp_path / "media").exists()
