"""The backend on each engine's tables, emptied after each test."""

from __future__ import annotations

import pytest

from fieldstone.kvs.backends.database import DatabaseBackend


@pytest.fixture
def backend(alias: str) -> DatabaseBackend:
    return DatabaseBackend("region", using=alias)
