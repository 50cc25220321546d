"""Two hundred processes killed with -9 while they save: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import os
import random
import time

from django.conf import settings
from django.db import connections

from tests.conftest import ENGINES, each_server
from tests.engines.writer import Writers, block
from tests.faults import marked
from tests.faults.marked import SAVED, TRIED

WRITERS = 4
HAS_SERVERS = any(alias in settings.DATABASES for alias in ENGINES if alias != "default")
ROUNDS = 50 if HAS_SERVERS or os.environ.get("CI") else 10  # the run without servers is to be quick
LONGEST_LIFE = 0.05  # seconds from its first try, connecting and interning included: up to some ten saves

OTHER_SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id()",
}


def wait_for_other_sessions(alias: str) -> None:
    """A server finishes the statement of a client that was killed, and may commit it."""
    sql = OTHER_SESSIONS.get(connections[alias].vendor)
    deadline = time.monotonic() + 60
    with connections[alias].cursor() as cursor:
        while sql:
            cursor.execute(sql)
            if cursor.fetchone()[0] == 0:
                return
            assert time.monotonic() < deadline, "the server keeps the sessions of killed processes"
            time.sleep(0.01)


def killed_at_random(alias, learner, draw, number):
    """What four processes told before they were killed, each at its own moment amid its saves."""
    with Writers(alias) as writers:
        new = [block(f"round{number}")]
        numbers = range(number * WRITERS, (number + 1) * WRITERS)
        running = [writers.start(marked.save_on_and_on, writer, learner, new) for writer in numbers]
        told = [writer.next() for writer in running]
        began = time.monotonic()
        for life, writer in sorted(
            ((draw.uniform(0, LONGEST_LIFE), w) for w in running), key=lambda pair: pair[0]
        ):
            time.sleep(max(0.0, began + life - time.monotonic()))
            writer.kill()
        for writer in running:
            told += writer.rest()
            assert writer.process.exitcode == -9
    return told


@each_server
def test_processes_killed_at_any_moment_leave_whole_saves_only(store, learner, alias):
    """Every other one's last save is tried again at once, while the server may still be busy with it."""
    seed = int(os.environ.get("FIELDSTONE_SEED") or random.randrange(2**32))
    print(f"FIELDSTONE_SEED={seed}")  # pytest shows it when the test fails
    draw = random.Random(seed)
    acknowledged, tried = set(), set()
    for number in range(ROUNDS):
        told = killed_at_random(alias, learner, draw, number)
        saved = {marker for what, marker in told if what == SAVED}
        begun = {marker for what, marker in told if what == TRIED}
        for marker in sorted(begun - saved)[::2]:
            marked.save_marker(store, learner, marker, new=[block(f"round{number}")])
            saved.add(marker)
        acknowledged |= saved
        tried |= begun
    wait_for_other_sessions(alias)
    written = marked.check(store, learner, acknowledged, tried)
    for number in range(ROUNDS):
        of_round = [marker for marker in written if int(marker.split(".")[0]) // WRITERS == number]
        assert marked.markers_of(store, learner, block(f"round{number}")) == of_round
    print(len(written), "saves written,", len(acknowledged), "acknowledged,", len(tried), "tried")
