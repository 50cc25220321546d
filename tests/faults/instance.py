"""A server of a test's own, or a reason to skip the test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from scripts.servers import instance
from scripts.servers.instance import ACCOUNTS, DATABASE, MissingServerError
from tests.faults.elsewhere import leading_elsewhere


class Instance(instance.Instance):
    """Where there is no such server, the test is skipped."""

    def __init__(self, name: str, folder: Path, making: str = "", options: str = "") -> None:
        try:
            super().__init__(name, folder, making, options)
        except MissingServerError as error:
            pytest.skip(str(error))


@contextlib.contextmanager
def serving(alias: str, folder: Path, app: str | None = "fieldstone_store", **settings: str) -> Iterator[Instance]:
    """A new server, which the alias leads to, with the app's empty tables, or of all apps; killed in the end."""
    instance = Instance(alias, folder, **settings)
    try:
        instance.make()
        instance.start()
        first = instance.address | {"NAME": ACCOUNTS[alias][1]}
        with leading_elsewhere(alias, **first), connections[alias].cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
        with leading_elsewhere(alias, **instance.address):
            call_command("migrate", *filter(None, [app]), run_syncdb=app is None, database=alias, verbosity=0)
            yield instance
    finally:
        instance.kill()
