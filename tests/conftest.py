"""Fixtures that every layer's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store.store import Store
from fieldstone.store.usages import forget_all

ENGINES = ["default", "postgresql"]
"""The database aliases that the contract suites run on; ``default`` is SQLite."""

COURSE = CourseLocator("Org", "Course", "Run")


def usage(name: str, block_type: str = "problem", course: CourseLocator = COURSE) -> UsageKey:
    return course.make_usage_key(block_type, name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a server that is not there, and say how to get it."""
    skip = pytest.mark.skip(reason="no PostgreSQL: FIELDSTONE_POSTGRESQL_URL is not set; `make test` starts one")
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if params.get("alias") == "postgresql" and "postgresql" not in settings.DATABASES:
            item.add_marker(skip)


@pytest.fixture
def alias(request: pytest.FixtureRequest) -> str:
    """A database alias; tests ask for it with ``@each_engine``."""
    return request.param


@pytest.fixture
def store(alias: str) -> Iterator[Store]:
    forget_all()
    yield Store(alias)
    forget_all()


@pytest.fixture
def learner(alias: str) -> int:
    return get_user_model().objects.db_manager(alias).create_user("ada").pk


def each_engine(test):
    """Run a test on every engine, with real transactions."""
    available = [name for name in ENGINES if name in settings.DATABASES]
    test = pytest.mark.parametrize("alias", ENGINES, indirect=True)(test)
    return pytest.mark.django_db(transaction=True, databases=available)(test)
