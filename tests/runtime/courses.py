"""Courses and learners for the tests of the runtime and of the workbench."""

from __future__ import annotations

import importlib.metadata
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from opaque_keys.edx.keys import UsageKey
from xblock import plugin
from xblock.core import XBlock

from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.course import Course
from fieldstone.runtime.handlers import handle
from fieldstone.runtime.olx import read_course
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.wiring import Viewer
from fieldstone.store.usages import forget_all
from fieldstone.workbench.courses import current_course
from fieldstone.workbench.pages import runtime_for
from tests.runtime.blocks import PUBLISHED

COURSE_XML = '<course org="Org" course="Course" url_name="run">{}</course>'


def course_files(folder: Path, files: dict[str, str]) -> Path:
    """A course's folder with these files, by their paths in it."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def course_of(folder: Path, body: str, files: dict[str, str] | None = None) -> Course:
    """A course whose ``course.xml`` holds ``body``, read from a folder."""
    return read_course(course_files(folder, {"course.xml": COURSE_XML.format(body), **(files or {})}))


def unit_of(folder: Path, body: str) -> Course:
    """A course of one unit, ``vertical/unit``, with ``body`` in it."""
    inside = f'<sequential url_name="section"><vertical url_name="unit">{body}</vertical></sequential>'
    return course_of(folder, f'<chapter url_name="chapter">{inside}</chapter>')


def example(block_type: str, block_id: str) -> UsageKey:
    """The key of a block of the example course."""
    return current_course().key.make_usage_key(block_type, block_id)


def key_in(course: Course, block_type: str, block_id: str) -> UsageKey:
    return course.key.make_usage_key(block_type, block_id)


def runtime(course: Course, user: Any) -> CourseRuntime:
    return runtime_for(course, Viewer(user), origin="test")


def call(
    course: Course, user: Any, usage_key: UsageKey, name: str, body: Any = None, suffix: str = "", **more: Any
) -> HttpResponse:
    """A handler called in a request of its own, with a JSON body (text goes as it is)."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    request = RequestFactory().post("/", text, **{"content_type": "application/json", **more})
    return handle(partial(runtime, course, user), usage_key, name, suffix, request)


def answer(usage_key: UsageKey, choice: str) -> str:
    """The form that the script of a problem sends: the choice of its first input."""
    return urlencode({f"input_{usage_key.block_id}_2_1": choice})


def check_problem(course: Course, user: Any, usage_key: UsageKey, choice: str) -> HttpResponse:
    """Answer a problem as its script does."""
    form = {"content_type": "application/x-www-form-urlencoded"}
    return call(course, user, usage_key, "xmodule_handler", answer(usage_key, choice), "problem_check", **form)


class RenamedTable:
    """The database refuses every statement on a table, as long as this lasts."""

    def __init__(self, model: Any) -> None:
        self._table = model._meta.db_table

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {self._table} RENAME TO hidden")

    def __exit__(self, *error: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {self._table}")


@pytest.fixture
def ada(db: None) -> Any:
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def bob(db: None) -> Any:
    return get_user_model().objects.create_user("bob")


@pytest.fixture
def ids_forgotten():
    """Ids of keys live as long as the process; the rows of a test do not."""
    forget_all()
    yield
    forget_all()


@pytest.fixture
def odd_blocks(monkeypatch):
    """The blocks of ``tests.runtime.blocks``, published as a package's are; one of them cannot be imported."""
    group = XBlock.entry_point
    points = [
        importlib.metadata.EntryPoint(name, f"{cls.__module__}:{cls.__name__}", group)
        for name, cls in PUBLISHED.items()
    ]
    points.append(importlib.metadata.EntryPoint("test-not-importable", "tests.runtime.no_such_module:X", group))
    monkeypatch.setattr(XBlock, "extra_entry_points", [(point.name, point) for point in points])
    for point in points:
        plugin.PLUGIN_CACHE.pop((group, point.name), None)
    yield
    for point in points:
        plugin.PLUGIN_CACHE.pop((group, point.name), None)
    block_class.cache_clear()
