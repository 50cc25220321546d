"""Going through every learner's state of a course: the time of it, and its memory."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import CourseLocator

from bench.databases import Database
from bench.rows.base import CLIENT, STORE, Pair, row
from bench.workload import COURSE, Volume, Workload, block_id, course_keys, problem_state
from fieldstone.store.store import Store
from fieldstone.store.tables import STATE
from fieldstone.store.usages import intern_usages
from fieldstone.values import encode_changes, encode_fields
from fieldstone.xblock import DjangoXBlockUserStateClient

SMALLER_COURSE: CourseKey = CourseLocator("FieldstoneX", "Speed102", "2026_T1")
"""Another course in the same tables, with a tenth of the learners."""

COLUMNS = ("student_id", "usage_id", "fields", "revision", "done", "created", "modified")


def fill_courses(database: Database, volume: Volume) -> Workload:
    """The states of two courses, without history, learner by learner: the order of the scan is another."""
    user = get_user_model().objects.create_user("learner")
    for course, learners in (
        (SMALLER_COURSE, volume.scanned_learners // 10),  # first: before the states of the other lie some to skip
        (COURSE, volume.scanned_learners),
    ):
        keys = course_keys(volume.blocks, course)
        interned = intern_usages({str(key): key for key in keys}, "default")
        ids = [interned[str(key)] for key in keys]
        database.floor.copy(STATE, COLUMNS, _rows(database.floor.now(), ids, learners))
    accounts = [get_user_model()(pk=n, username=f"learner {n}") for n in range(1, volume.scanned_learners + 1)]
    get_user_model().objects.bulk_create(accounts, ignore_conflicts=True, batch_size=1000)
    database.floor.settle()
    return Workload(database, volume, Store(), user, keys, ids)


def _rows(now: Any, ids: list[int], learners: int) -> Iterator[tuple[Any, ...]]:
    states = [problem_state(block_id(n), random.Random(n)) for n in range(len(ids))]
    texts = [encode_fields(encode_changes("", state)) for state in states]
    for learner in range(1, learners + 1):
        for usage, text in zip(ids, texts, strict=True):
            yield learner, usage, text, 1, "na", now, now


@row(
    "scan",
    "iterate a course of 200,000 states",
    STORE,
    postgresql=2.0,  # of the time: half the rate
    sqlite=2.0,
    data=fill_courses,
    least_rounds=5,
)
def scan(load: Workload) -> Pair:
    """The floor asks for no order; ours comes by block and learner, and may go on after any row."""

    def ours() -> int:
        return sum(row.state.revision or 0 for row in load.store.scan(context=COURSE))

    def floor() -> int:
        return sum(row[5] for row in load.floor.states_of_course(str(COURSE)))

    return Pair(ours, floor, lambda: _seen_by_ours(load), lambda: _seen_by_floor(load))


@row(
    "scan-client",
    "iterate a course of 200,000 states",
    CLIENT,
    postgresql=2.0,
    sqlite=2.0,
    data=fill_courses,
    least_rounds=3,
)
def scan_client(load: Workload) -> Pair:
    """With usernames, and every value decoded, which the row before leaves to whoever asks for one."""
    client = DjangoXBlockUserStateClient()

    def ours() -> int:
        return sum(len(entry.state or ()) for entry in client.iter_all_for_course(COURSE))

    def floor() -> int:
        return sum(len(state) for *_, state in _named_states(load))

    def seen_by_ours() -> list[Any]:
        entries = client.iter_all_for_course(COURSE)
        return sorted(
            (entry.username, str(entry.block_key), json.dumps(entry.state, sort_keys=True)) for entry in entries
        )

    def seen_by_floor() -> list[Any]:
        return sorted((*names, json.dumps(state, sort_keys=True)) for *names, state in _named_states(load))

    return Pair(ours, floor, seen_by_ours, seen_by_floor)


def _named_states(load: Workload) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for username, key, fields in load.floor.named_states_of_course(str(COURSE)):
        yield username, key, {name: json.loads(text) for name, text in json.loads(fields).items()}


def _seen_by_ours(load: Workload) -> list[tuple[int, str, int]]:
    rows = load.store.scan(context=COURSE)
    return sorted((row.learner_id, row.key, _digest(row.state.fields.encoded)) for row in rows)


def _seen_by_floor(load: Workload) -> list[tuple[int, str, int]]:
    rows = load.floor.states_of_course(str(COURSE))
    return sorted((learner, key, _digest(json.loads(fields))) for key, _, learner, _, fields, *_ in rows)


def _digest(encoded: Mapping[str, str]) -> int:
    return hash(frozenset(encoded.items()))
