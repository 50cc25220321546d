"""Fixtures of the tests of the XBlock face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from fieldstone.store.usages import forget_all
from tests.xblock.blocks import Page


@pytest.fixture(autouse=True)
def ids_forgotten() -> Iterator[None]:
    forget_all()
    yield
    forget_all()


@pytest.fixture
def user(learner: int, alias: str) -> Any:
    return get_user_model().objects.using(alias).get(pk=learner)


@pytest.fixture
def another(user: Any, alias: str) -> Any:
    return get_user_model().objects.db_manager(alias).create_user("bob")


@pytest.fixture
def page(user: Any, alias: str) -> Page:
    return Page(user, alias)
