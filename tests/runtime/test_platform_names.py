"""What blocks find under Open edX's names, and the apps that they can do without."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from opaque_keys.edx.locator import CourseLocator

from fieldstone.runtime.course import Course, CourseBlock
from fieldstone.runtime.optional_apps import hide_apps_that_are_off
from fieldstone.runtime.platform_names import CourseOfRuntime

KEY = CourseLocator("org", "course", "run")


def course(**settings: object) -> Course:
    root = CourseBlock(KEY.make_usage_key("course", "run"), "course", None, "Course")  # type: ignore[no-untyped-call]
    return Course(KEY, Path(), root, {}, [], {"course/run": settings})


def test_a_runtime_knows_the_tools_of_its_course_and_no_other_course() -> None:
    modulestore = CourseOfRuntime(course(lti_passports=["tool:key:secret"]))
    facts = modulestore.get_course(KEY)
    assert facts is not None
    assert facts.lti_passports == ["tool:key:secret"]
    assert modulestore.get_course(CourseLocator("org", "course", "other")) is None


def test_a_course_without_tools_has_none() -> None:
    facts = CourseOfRuntime(course()).get_course(KEY)
    assert facts is not None
    assert facts.lti_passports == []


@pytest.mark.parametrize("name", ["edxval.api", "submissions.api"])
def test_an_app_that_is_installed_and_off_is_missing_to_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [module for module in sys.modules if module.split(".")[0] == name.split(".")[0]]:
        monkeypatch.delitem(sys.modules, loaded)
    hide_apps_that_are_off()
    with pytest.raises(ImportError, match="not among INSTALLED_APPS"):
        importlib.import_module(name)
