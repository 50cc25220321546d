"""Processes tell their counts through the region's own server, and each other's are read there."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
from typing import Any

import pytest
from django.db import transaction

from fieldstone.kvs import Region
from fieldstone.kvs.backends.memory import MemoryBackend
from fieldstone.kvs.publishing import SLOTS, apublished, published, total
from fieldstone.kvs.statistics import Statistics
from tests.kvs.backends import DATABASES, SHARED, each
from tests.kvs.workers import in_loop

ALWAYS = 1e-9
"""Seconds between publications: every operation finds that it is time."""


class SharedMemory(MemoryBackend):
    """Memory that says it is a server: for what no server can be made to do when a test wants it."""

    def __init__(self, region: str, **options: Any) -> None:
        super().__init__(region, **options)
        self.abilities = dataclasses.replace(self.abilities, shared=True)


class Failing(SharedMemory):
    """Refuses whatever a region has beside its keys."""

    unavailable = (ConnectionError,)
    error: type[Exception] = ConnectionError

    def get_many(self, names: Any) -> Any:
        if "%" in names[0]:
            raise self.error("no slots here")
        return super().get_many(names)


def in_memory(name: str = "here", **options: Any) -> Region:
    return Region(name).configure(SharedMemory, **{"publish_statistics": ALWAYS, **options})


def use(number: int, region: Region):
    """As a process of its own: ``number`` and a hit more, and as many misses."""
    for _ in range(number + 1):
        region.get("there")
        region.get("missing", None)
    yield os.getpid()


@each(SHARED)
def test_all_processes_are_seen_with_their_own_counts(make, workers):
    """They are forked from this one, whose counts are not theirs."""
    region = make(publish_statistics=ALWAYS)
    region.set("there", 1)
    region.get("there")
    pids = [told[0] for told in workers.all(3, use, region)]
    region.get("missing", None)
    seen = {process.pid: process for process in published(region)}
    assert seen.keys() == {os.getpid(), *pids}
    assert {process.host for process in seen.values()} == {socket.gethostname()}
    hits, misses = [seen[pid].counts.hits for pid in pids], [seen[pid].counts.misses for pid in pids]
    assert hits == [1, 2, 3]
    assert misses == [0, 1, 2]  # the call that tells is counted after it has told
    assert (seen[os.getpid()].counts.hits, seen[os.getpid()].counts.writes) == (1, 1)


@each(SHARED)
def test_coroutines_tell_too(make, run):
    region = make(publish_statistics=ALWAYS)

    async def use() -> Any:
        await region.aset("a", 1)
        await region.aget("a")
        await region.aget("a")
        found = await apublished(region)
        await region.aclose()
        return found

    (process,) = in_loop(use())
    assert (process.pid, process.counts.hits) == (os.getpid(), 1)


@each(SHARED)
def test_a_process_keeps_its_slot_and_takes_another_when_that_is_gone(make):
    region = make(publish_statistics=ALWAYS)
    region.set("a", 1)
    slots = region._runner().publisher.names
    entry = region.backend.get(slots[0])
    region.set("a", 2)
    assert region.backend.get(slots[0]) not in (None, entry)
    region.backend.delete(slots[0])
    region.set("a", 3)
    (process,) = published(region)
    assert process.counts.writes == 2


@each(DATABASES)
def test_in_a_transaction_nothing_is_told_until_it_is_committed(make, kind):
    region = make(publish_statistics=ALWAYS)
    with transaction.atomic(kind.alias):
        region.set("a", 1)
        slots = region._runner().publisher.names
        assert region.backend.get_many(slots) == [None] * SLOTS
    assert published(region)


@each(DATABASES)
def test_a_rollback_leaves_no_slot_that_its_process_believes_in(make, kind):
    region = make(publish_statistics=ALWAYS)
    with pytest.raises(ZeroDivisionError), transaction.atomic(kind.alias):
        region.set("a", 1 // 0 if region.incr("n") else 0)
    assert not published(region)
    region.set("a", 1)
    assert len(published(region)) == 1


def test_an_operation_tells_only_when_it_is_time():
    region = in_memory(publish_statistics=3600)
    publisher = region._runner().publisher
    region.set("a", 1)
    assert published(region) == []
    publisher.due = 0.0
    region.set("a", 2)
    region.set("a", 3)
    (process,) = published(region)
    assert process.counts.writes == 1


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        (SharedMemory, {"publish_statistics": None}),
        (SharedMemory, {"publish_statistics": float("inf")}),
        (MemoryBackend, {"publish_statistics": ALWAYS}),
    ],
    ids=["off", "never", "not shared"],
)
def test_a_region_that_is_told_not_to_or_has_no_server_tells_nothing(backend, options):
    region = Region("here").configure(backend, **options)
    region.set("a", 1)
    assert region.backend.get_many(region._runner().publisher.names) == [None] * SLOTS
    assert published(region) == []


@pytest.mark.parametrize("interval", [0, -1, True, "10"])
def test_an_interval_that_is_none_is_refused_at_configuration(interval):
    with pytest.raises(ValueError, match="publish_statistics"):
        in_memory(publish_statistics=interval)


@pytest.mark.parametrize("error", [ConnectionError, KeyError])
def test_what_fails_at_telling_disturbs_no_operation_and_is_counted(error, caplog):
    caplog.set_level(logging.DEBUG, "fieldstone.kvs")
    region = Region("here").configure(Failing, publish_statistics=ALWAYS, breaker_failures=100)
    region.backend.error = error
    region.set("a", 1)
    assert region.get("a") == 1
    assert in_loop(region.aget("a")) == 1
    assert region.statistics.errors == 3
    told = [record for record in caplog.records if "could not tell its counts" in record.message]
    assert len(told) == 3
    assert {record.levelno for record in told} == {logging.DEBUG}


def test_with_all_slots_taken_a_process_counts_for_itself():
    region = in_memory()
    publisher = region._runner().publisher
    region.backend.set_many(dict.fromkeys(publisher.names, b"taken"), None)
    region.set("a", 1)
    assert region.backend.get_many(publisher.names) == [b"taken"] * SLOTS
    assert region.statistics.errors == 0


def test_a_process_that_never_learnt_that_it_had_written_is_seen_once():
    region = in_memory()
    region.set("a", 1)
    publisher = region._runner().publisher
    publisher._version = bytes(8)
    region.set("a", 2)
    assert [entry is not None for entry in region.backend.get_many(publisher.names[:3])] == [True, True, False]
    (process,) = published(region)
    assert process.counts.writes == 1


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"m12345678\xc0",
        b"j12345678{}",
        b'j12345678{"process": "x", "host": "h", "pid": 1, "time": 0, "counts": {"buckets": [1]}}',
        b"p12345678" + bytes(40),
    ],
    ids=["empty", "MessagePack", "no counts", "other buckets", "a pickle"],
)
def test_what_somebody_else_put_into_a_slot_is_left_out_and_told(entry, caplog):
    region = in_memory()
    publisher = region._runner().publisher
    region.backend.set(publisher.names[0], entry, None)
    region.set("a", 1)
    assert len(published(region)) == 1
    assert f"{publisher.names[0]!r} is no counts" in caplog.text


def test_clearing_a_region_takes_no_counts_away_and_no_key_is_a_slot():
    region = in_memory()
    region.set("%here/0", 1)
    region.set("b", 2)
    assert region.clear() == 2
    assert len(published(region)) == 1


def test_regions_that_share_a_prefix_do_not_share_slots():
    one, other = in_memory("one", prefix="p"), in_memory("other", prefix="p")
    assert not {*one._runner().publisher.names} & {*other._runner().publisher.names}


def test_a_region_whose_slots_the_server_cannot_name_tells_nothing():
    class Narrow(SharedMemory):
        def __init__(self, region: str, **options: Any) -> None:
            super().__init__(region, **options)
            self.abilities = dataclasses.replace(self.abilities, max_key_bytes=12)

    region = Region("long-name").configure(Narrow, publish_statistics=ALWAYS)
    region.set("a", 1)
    assert published(region) == []
    assert region.statistics.errors == 0


def test_the_sum_of_processes_is_the_sum_of_all_that_they_counted():
    one, other = Statistics(), Statistics()
    for statistics in (one, other):
        statistics.called(0.003)
        statistics.read(2, 1, 100)
    other.called(2.0)
    other.failed()
    both = total([one.snapshot(), other.snapshot()])
    assert (both.hits, both.misses, both.bytes_read, both.errors, both.calls) == (4, 2, 200, 1, 3)
    assert both.seconds == pytest.approx(2.006)
    assert sum(both.buckets) == 3
    assert both.quantile(0.5) == 0.005
    assert total([]).hit_ratio is None
