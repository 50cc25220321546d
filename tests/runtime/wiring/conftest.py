from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.sessions.backends.db import SessionStore

from fieldstone.kvs import Region, regions
from fieldstone.runtime.wiring import EphemeralStore
from tests.kvs.backends import DATABASES, MEMCACHED, MEMORY, REDIS, Kind

KINDS = [MEMORY, REDIS, MEMCACHED, DATABASES[0]]
"""Where visitors' state can be: a region that compares and sets."""


def _params() -> list[object]:
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
    marks = [pytest.mark.django_db(transaction=True, available_apps=[*apps, "fieldstone.kvs", "fieldstone.store"])]
    skips = {kind: [pytest.mark.skip(reason=kind.obstacle)] if kind.obstacle else [] for kind in KINDS}
    return [pytest.param(kind, id=kind.name, marks=[*marks, *skips[kind]]) for kind in KINDS]


@pytest.fixture(params=_params())
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def region(kind: Kind) -> Iterator[Region]:
    region = kind.configured()
    yield region
    region.close()


@pytest.fixture
def of_ada(region: Region, ids_forgotten: None) -> EphemeralStore:
    return EphemeralStore(region, "ada", ttl=60)


@pytest.fixture
def visitors(region: Region, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    """The region of visitors is of each kind in turn."""
    monkeypatch.setattr("fieldstone.runtime.wiring.viewers.region_of", lambda name: region)
    yield region
    regions.forget("visitors")


@pytest.fixture
def session(kind: Kind) -> SessionStore:
    return SessionStore()
