"""An author's edits in a preview: kept together, whole or not at all, and never by a GET."""

from __future__ import annotations

import pytest
from xblock.exceptions import InvalidScopeError

from fieldstone.errors import ReadOnlyError
from fieldstone.runtime.course import AuthoredFieldData
from fieldstone.runtime.wiring import AuthorsFields, EphemeralStore
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import example, runtime


class HandlerError(Exception):
    """The handler fails after it has edited."""


@pytest.fixture
def poll(kind):
    return runtime(current_course(), None)._construct(example("poll", "study-habit"), None)


@pytest.fixture
def preview(region, ids_forgotten):
    """The authored fields as another request of the author's has them."""

    def make(**options):
        return AuthorsFields(
            AuthoredFieldData(current_course().blocks), EphemeralStore(region, "1", ttl=60), **options
        )

    return make


def test_a_draft_shows_over_the_course_until_it_is_taken_back(preview, poll):
    of_course = preview().get(poll, "question")
    preview().set(poll, "question", "draft")
    assert preview().get(poll, "question") == "draft"
    preview().delete(poll, "question")
    assert preview().get(poll, "question") == of_course


def test_drafts_are_saved_when_all_is_done(preview, poll):
    fields = preview()
    with fields.saving_at_the_end():
        fields.set(poll, "question", "draft")
        fields.set(poll, "display_name", "name")
        assert fields.get(poll, "question") == "draft"
        assert preview().get(poll, "question") != "draft"
    assert (preview().get(poll, "question"), preview().get(poll, "display_name")) == ("draft", "name")


def test_of_a_handler_that_fails_nothing_is_left(preview, poll):
    fields = preview()
    with pytest.raises(HandlerError), fields.saving_at_the_end():
        fields.set(poll, "question", "draft")
        raise HandlerError
    assert fields.get(poll, "question") == preview().get(poll, "question") != "draft"
    fields.set(poll, "display_name", "name")
    assert preview().get(poll, "question") != "draft"


def test_where_nothing_may_be_written_no_draft_is(preview, poll):
    fields = preview(is_read_only=lambda: True)
    with pytest.raises(ReadOnlyError):
        fields.set(poll, "question", "draft")
    assert fields.get(poll, "question") == preview().get(poll, "question") != "draft"


def test_without_a_preview_a_write_is_of_the_wrong_scope(poll):
    fields = AuthorsFields(AuthoredFieldData(current_course().blocks), None, lambda: True)
    with pytest.raises(InvalidScopeError):
        fields.set(poll, "question", "draft")
