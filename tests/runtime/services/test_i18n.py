"""Blocks speak the language that Django has active, by their own catalogues."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.utils import translation

from fieldstone.workbench.courses import current_course
from tests.runtime.courses import example
from tests.runtime.services.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


def service(user, block_type="poll", block_id="study-habit"):
    page = page_of(current_course(), user)
    return page.service(page.get_block(example(block_type, block_id)), "i18n")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Submit"),
        ("fr", "Soumettre"),
        ("fr-ca", "Soumettre"),
        ("fr-be", "Soumettre"),
        ("de", "Absenden"),
        ("xx", "Submit"),
    ],
)
def test_a_blocks_own_catalogue_translates_in_the_nearest_language(ada, language, words):
    with translation.override(language):
        translated = service(ada)
        assert (translated.gettext("Submit"), translated.ugettext("Submit")) == (words, words)


def test_a_view_is_in_the_learners_language_and_the_next_one_in_its_own(ada):
    page = page_of(current_course(), ada)
    for language, words in (("fr", "Soumettre"), ("en", "Submit")):
        with translation.override(language):
            content = page.get_block(example("poll", "study-habit")).render("student_view").content
        assert words in content


def test_a_view_leaves_the_sites_own_translations_as_they_are(ada):
    with translation.override("fr"):
        before = translation.gettext("Private Results")
        page_of(current_course(), ada).get_block(example("poll", "study-habit")).render("student_view")
        assert translation.gettext("Private Results") == before == "Private Results"


def test_what_a_block_has_no_word_for_the_site_translates(ada):
    with translation.override("fr"):
        assert service(ada).gettext("Monday") == "lundi"
        assert service(ada, "problem", "q01-who-measured").gettext("Monday") == "lundi"
        assert service(ada).ngettext("%d hour", "%d hours", 2) == translation.ngettext("%d hour", "%d hours", 2)


def test_an_empty_text_stays_empty(ada):
    with translation.override("fr"):
        assert service(ada).gettext("") == ""


def test_without_a_language_texts_are_as_they_were_written(ada):
    with translation.override(None):
        assert service(ada).gettext("Submit") == "Submit"


def test_dates_have_the_names_of_the_language(ada):
    day = datetime(2026, 3, 2, 15, 4, tzinfo=UTC)
    assert service(ada).strftime(day, "LONG_DATE") == "Monday, March 02, 2026"
    assert service(ada).strftime(day, "SHORT_DATE") == "Mar 02, 2026"
    with translation.override("fr"):
        assert service(ada).strftime(day, "LONG_DATE") == "lundi, mars 02, 2026"
        assert service(ada).strftime(day, "%H:%M") == "15:04"
