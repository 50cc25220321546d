"""Fixtures that every layer's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.management import create_contenttypes
from django.db.models.signals import post_migrate
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store.store import Store
from fieldstone.store.usages import forget_all

ENGINES = ["default", "postgresql", "prepared", "mariadb"]
"""The database aliases that the contract suites run on; ``default`` is SQLite, ``prepared`` PostgreSQL again."""

COURSE = CourseLocator("Org", "Course", "Run")


def usage(name: str, block_type: str = "problem", course: CourseLocator = COURSE) -> UsageKey:
    return course.make_usage_key(block_type, name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a server that is not there, and say how to get it."""
    for item in items:
        alias = getattr(getattr(item, "callspec", None), "params", {}).get("alias", "default")
        if alias not in settings.DATABASES:
            reason = f"no {alias} in the settings: `make test` starts the server and installs its driver"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Emptying a database makes Django write the permissions of every model anew, which no test looks at."""
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)


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


STORE_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.kvs", "fieldstone.store"]


def _on(aliases, apps=()):
    """Run a test on each alias, with real transactions; after it only that one and the store are emptied."""
    cases = [
        pytest.param(
            alias,
            marks=pytest.mark.django_db(transaction=True, databases=[alias], available_apps=[*STORE_APPS, *apps]),
        )
        for alias in aliases
    ]
    return pytest.mark.parametrize("alias", cases, indirect=True)


each_engine = _on(ENGINES)
jobs_on_each_engine = _on(ENGINES, ["fieldstone.jobs"])
each_server = _on([alias for alias in ENGINES if alias != "prepared"])
"""For faults of the servers themselves: of PostgreSQL once."""
