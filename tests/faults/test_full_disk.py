"""The disk fills up amid saves: errors, but nothing by halves and nothing lost, and with space all goes on."""

from __future__ import annotations

import contextlib
import random
import shutil

import pytest
from django.core.management import call_command
from django.db import Error, connections

from tests.conftest import each_server
from tests.faults import marked
from tests.faults.elsewhere import leading_elsewhere
from tests.faults.instance import serving

MEGABYTE = 2**20
DISKS = {"default": 8, "postgresql": 192, "mariadb": 160}  # megabytes
LEFT = [2 * MEGABYTE, MEGABYTE, MEGABYTE // 2, MEGABYTE // 4]
"""How much is free when the saves begin, each time that the disk is filled."""
SETTINGS = {
    # Its log grows and shrinks by a megabyte at a time, so that the disk fills up under the log as well.
    "postgresql": {
        "making": "--wal-segsize=1",
        "options": "-c min_wal_size=2MB -c max_wal_size=8MB -c wal_recycle=off",
    },
    "mariadb": {"options": "--innodb-log-file-size=4M"},
}
AT_MOST = 2_000  # saves until the disk must be full


@contextlib.contextmanager
def on_sqlite(alias, disk):
    with leading_elsewhere(alias, NAME=str(disk / "database.sqlite3")):
        call_command("migrate", "fieldstone_store", database=alias, verbosity=0)
        yield None


@pytest.fixture
def instance(alias, store, small_disk):
    """The server whose data is on the small disk; none for SQLite, whose file is."""
    is_sqlite = connections[alias].vendor == "sqlite"
    with on_sqlite(alias, small_disk) if is_sqlite else serving(alias, small_disk, **SETTINGS[alias]) as instance:
        yield instance


class Ballast:
    """A file that leaves little room beside it, until it is dropped."""

    def __init__(self, disk, left):
        self._file = disk / "ballast"
        with self._file.open("wb") as file:
            while (room := shutil.disk_usage(disk).free - left) > 0:
                file.write(bytes(min(room, MEGABYTE)))
                file.flush()

    def drop(self):
        self._file.unlink()


def save_until_full(store, learner, draw, tried):
    """The markers that were acknowledged before the first error, and the one that was not."""
    acknowledged = []
    for n in range(AT_MOST):
        marker = f"{len(tried)}.{n}"
        tried[marker] = draw.randbytes(draw.choice([10, 1_000, 10_000])).hex()
        try:
            marked.save_marker(store, learner, marker, tried[marker])
        except Error as error:
            print(len(acknowledged), repr(error))
            connections[store.using].close()
            return acknowledged, marker
        acknowledged.append(marker)
    pytest.fail(f"the disk is not full after {AT_MOST} saves")


@each_server
@pytest.mark.parametrize("small_disk", [DISKS], indirect=True)
def test_saves_on_a_full_disk_raise_and_go_on_once_there_is_space(store, learner, alias, instance, small_disk):
    draw, tried, acknowledged = random.Random(7), {}, []
    for left in LEFT:
        ballast = Ballast(small_disk, left)
        saved, refused = save_until_full(store, learner, draw, tried)
        acknowledged += saved
        ballast.drop()
        if instance is not None:
            if not instance.is_running:  # PostgreSQL cannot go on without its log, and stops
                instance.start()
            instance.wait()
        assert marked.check(store, learner, acknowledged) == acknowledged
        marked.save_marker(store, learner, refused, tried[refused])
        acknowledged.append(refused)
        assert marked.check(store, learner, acknowledged) == acknowledged
    assert len(acknowledged) > len(LEFT), "it was full before the first save"
