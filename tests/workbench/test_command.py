"""``manage.py workbench``."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.runtime.courses import COURSE_XML, course_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_settings(settings):
    """The command sets the course in the settings; they are put back after the test."""
    settings.FIELDSTONE = {**settings.FIELDSTONE}
    return settings


def run(**options):
    """The command, up to its server: that refuses the address."""
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("workbench", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue(), str(raised.value)


def test_a_missing_course_is_named(own_settings, tmp_path):
    _, _, error = run(course=str(tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'}: there is no such folder" in error


def test_a_broken_course_is_named_with_file_and_line(own_settings, tmp_path):
    course_files(tmp_path, {"course.xml": "<course>\n<chapter>\n</course>"})
    _, _, error = run(course=str(tmp_path))
    assert f"{tmp_path / 'course.xml'}, line 3: " in error


def test_no_course_at_all_says_how_to_name_one(own_settings):
    own_settings.FIELDSTONE = {}
    _, _, error = run()
    assert "--course" in error


def test_it_says_what_it_opened_and_where_the_page_is(own_settings):
    out, err, error = run(address="no-such-address")
    assert out.startswith("How memory works: 75 blocks\nOpen http://no-such-address in a browser.")
    assert err == ""
    assert "no-such-address" in error, "what the server itself said"


def test_it_lists_the_blocks_that_cannot_be_loaded(own_settings, tmp_path):
    body = "<chapter><sequential><vertical>\n<no-such-block/></vertical></sequential></chapter>"
    course_files(tmp_path, {"course.xml": COURSE_XML.format(body)})
    out, err, _ = run(course=str(tmp_path), address="no-such-address")
    assert out.startswith("Course: 5 blocks, 1 of them cannot be loaded\n")
    assert f"{tmp_path / 'course.xml'}, line 2: No installed package provides <no-such-block>" in err
