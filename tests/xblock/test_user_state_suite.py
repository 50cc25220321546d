"""The black-box suite that PyPI's ``edx-user-state-client`` brings for every such client, on every engine."""

from __future__ import annotations

import inspect
from unittest import skipUnless

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from edx_user_state_client import interface
from edx_user_state_client.tests import UserStateClientTestBase
from opaque_keys.edx.locator import CourseLocator
from xblock.fields import Scope

from fieldstone.xblock.user_state_client import DjangoXBlockUserStateClient, XBlockUserState
from tests.xblock.routers import Everything


class Suite(UserStateClientTestBase, TestCase):
    __test__ = False

    def setUp(self):
        super().setUp()
        (alias,) = self.databases
        self.enterContext(override_settings(DATABASE_ROUTERS=[Everything(alias)]))
        for number in range(3):
            get_user_model().objects.create_user(self._user(number))
        self.client = DjangoXBlockUserStateClient()


def on(alias):
    """The suite on a database alias."""
    there = skipUnless(alias in settings.DATABASES, f"no {alias} in the settings: `make test` starts the server")
    return there(type(Suite)(f"TestOn{alias.title()}", (Suite,), {"databases": {alias}, "__test__": True}))


TestOnDefault = on("default")
TestOnPostgresql = on("postgresql")
TestOnPrepared = on("prepared")
TestOnMariadb = on("mariadb")

CALLS = [
    *("get", "set", "delete", "get_many", "set_many", "delete_many"),
    *("get_history", "iter_all_for_block", "iter_all_for_course"),
]


@pytest.mark.parametrize("name", CALLS)
def test_calls_take_what_the_published_interface_says(name):
    ours, theirs = (
        [
            (argument.name, argument.default)
            for argument in inspect.signature(getattr(cls, name)).parameters.values()
        ]
        for cls in (DjangoXBlockUserStateClient, interface.XBlockUserStateClient)
    )
    assert ours == theirs


def test_an_entry_is_shown_as_the_published_one():
    key = CourseLocator("Org", "Course", "Run").make_usage_key("problem", "a")
    entry = XBlockUserState("ada", key, {"a": 1}, None, Scope.user_state)
    assert entry._fields == interface.XBlockUserState._fields
    assert repr(entry) == repr(interface.XBlockUserState(*entry))
