"""The backends that the suites of regions and locks run on. Another one joins by an entry of ``KINDS``."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings

from fieldstone.kvs import Region


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A backend as it is configured for tests."""

    name: str
    """In the names of tests."""
    store: str
    """What ``configure`` is told."""
    module: str = ""
    """What has to be importable."""
    variable: str = ""
    """Of the environment, with the server's address."""
    options: Callable[[str], dict[str, Any]] = lambda address: {}
    """From the address, or from the alias, to arguments of ``configure``."""
    alias: str = ""
    """Of the database, where it is one."""
    brief: float = 0.2
    """The shortest time in seconds that its locks can be held for and its entries kept."""

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be tested here, or ``None``."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        if self.alias and self.alias not in settings.DATABASES:
            return f"no {self.alias} in the settings: `make test` starts the server and installs its driver"
        if self.variable and self.variable not in os.environ:
            return f"{self.variable} is not set: `make test` starts the server"
        return None

    def configured(self, name: str | None = None, **options: Any) -> Region:
        """A region of a new name, so that no test sees what another one left, or another handle to one."""
        address = os.environ[self.variable] if self.variable else self.alias
        region = Region(name or f"test-{uuid.uuid4().hex[:12]}")
        return region.configure(self.store, **{**self.options(address), **options})


def _database(alias: str) -> Kind:
    name = "sqlite" if alias == "default" else alias
    brief = 0.1 if alias == "default" else 0.2
    return Kind(name=name, store="database", alias=alias, brief=brief, options=lambda alias: {"using": alias})


MEMORY = Kind(name="memory", store="memory", brief=0.05)
REDIS = Kind(
    name="redis", store="redis", module="redis", variable="FIELDSTONE_REDIS_URL", options=lambda url: {"url": url}
)
MEMCACHED = Kind(
    name="memcached",
    store="memcached",
    module="pymemcache",
    variable="FIELDSTONE_MEMCACHED_URL",
    options=lambda url: {"url": url},
    brief=1.0,  # it counts whole seconds
)
DATABASES = [_database(alias) for alias in ("default", "postgresql", "mariadb")]
KINDS = [
    MEMORY,
    Kind(
        name="proxied",
        store="memory",
        module="dogpile.cache",
        brief=0.05,
        options=lambda _: {"proxy_list": ["tests.kvs.proxies.Passing"]},
    ),
    Kind(name="dogpile", store="dogpile.cache.memory", module="dogpile.cache", brief=0.05),
    REDIS,
    MEMCACHED,
    *DATABASES,
]
WITH_LOCKS = [kind for kind in KINDS if kind.name != "proxied"]
"""Proxies have nothing to do with locks."""
SHARED = [REDIS, MEMCACHED, *DATABASES]
"""Those that other processes see."""


needs_time = pytest.mark.skipif(
    not {"FIELDSTONE_REDIS_URL", "FIELDSTONE_RACE_INCREMENTS"} & os.environ.keys(),
    reason="it takes seconds, and so runs only where FIELDSTONE_REDIS_URL is set: `make test` starts the server",
)
"""For what belongs to the longer run, though it needs none of the servers."""


def params(kinds: list[Kind], beside: str | None = None) -> list[Any]:
    """These as parameters of the fixture ``kind``, with another database beside those that are none."""
    return [pytest.param(kind, id=kind.name, marks=_marks(kind.obstacle, kind.alias or beside)) for kind in kinds]


def each(kinds: list[Kind], beside: str | None = None) -> pytest.MarkDecorator:
    """Run a test on each of these only."""
    return pytest.mark.parametrize("kind", params(kinds, beside), indirect=True)


def _marks(obstacle: str | None, alias: str | None) -> list[pytest.MarkDecorator]:
    if obstacle:
        return [pytest.mark.skip(reason=obstacle)]
    if alias:
        return [pytest.mark.django_db(transaction=True, databases=[alias], available_apps=["fieldstone.kvs"])]
    return []


class OnKind:
    """Has a shipped suite run on each ``kind``, where another project's class would say ``backend``."""

    on: Kind

    @pytest.fixture(autouse=True)
    def _on(self, kind: Kind) -> None:
        self.on, self.brief = kind, kind.brief

    def make_region(self, name: str, **options: Any) -> Region:
        return self.on.configured(name, **options)
