"""Keystone's stores, on backends of ours and of others."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from fieldstone.kvs.keystone import core
from fieldstone.kvs.keystone.backends import memcached

from . import others

OTHERS = ["Mangling", "Insisting", "Bare", "ReadOnlyMangler", "Unlockable"]


@pytest.fixture
def fieldstone(settings) -> Callable[..., None]:
    """Changes what ``settings.FIELDSTONE`` says."""

    def change(**changes: Any) -> None:
        settings.FIELDSTONE = {**settings.FIELDSTONE, **changes}

    return change


@pytest.fixture
def new_store(fieldstone, monkeypatch) -> Callable[[], core.KeyValueStore]:
    """Makes stores that are not configured; other people's backends and drivers are known."""
    fieldstone(KEYSTONE_BACKENDS=[f"{others.__name__}.{name}" for name in OTHERS])
    for name in ("Driver", "ReadingDriver"):
        monkeypatch.setitem(memcached.VALID_DOGPILE_BACKENDS, name, getattr(others, name))
    monkeypatch.setitem(memcached.VALID_DOGPILE_BACKENDS, "ManglingDriver", f"{others.__name__}.ManglingDriver")
    return lambda: core.get_key_value_store(uuid.uuid4().hex)


@pytest.fixture
def store(new_store) -> core.KeyValueStore:
    """In memory."""
    made = new_store()
    made.configure("openstack.kvs.Memory")
    return made
