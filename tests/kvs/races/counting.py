"""What the processes of the races do: count in a row of a database, under a lock, and say so.

Who holds the lock reads the counter in one transaction and writes one more in another, blindly; both begin with
``check_fence``. Reading makes the holder's token the newest, so that whoever held the lock before is refused from
then on; so the count is exact as long as fences are, whatever becomes of the lock.

With the counter the writer keeps a token of the increment's own, and tells it to a file once it is committed: what
is in the file was acknowledged. A process that is killed between the two leaves a row that the file does not have.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import connections, transaction

from fieldstone.errors import FieldstoneError, LockTimeout, StaleFenceError
from fieldstone.kvs import Fence, KeyValueStoreLock, Region
from fieldstone.kvs.fencing import check_fence

COUNTER, DONE = "races_counter", "races_done"
LOCK_SECONDS = 1.0
PATIENCE = 900.0  # seconds that the whole of a full run may take


class Ledger:
    """The counter and the tokens, in tables that are made for one race."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def make(self) -> None:
        with connections[self.alias].cursor() as cursor:
            for table in (COUNTER, DONE):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")
            cursor.execute(f"CREATE TABLE {COUNTER} (total integer NOT NULL)")
            cursor.execute(f"CREATE TABLE {DONE} (token varchar(64) PRIMARY KEY, number integer NOT NULL)")
            cursor.execute(f"INSERT INTO {COUNTER} (total) VALUES (0)")

    def drop(self) -> None:
        with connections[self.alias].cursor() as cursor:
            for table in (COUNTER, DONE):
                cursor.execute(f"DROP TABLE {table}")

    def read(self) -> int:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"SELECT total FROM {COUNTER}")
            return int(cursor.fetchone()[0])

    def write(self, total: int, token: str) -> None:
        """Blindly: adding one in the database would be exact without any lock."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"UPDATE {COUNTER} SET total = %s", [total])
            cursor.execute(f"INSERT INTO {DONE} (token, number) VALUES (%s, %s)", [token, total])

    def read_fenced(self, lock: KeyValueStoreLock) -> int:
        with transaction.atomic(using=self.alias):
            check_fence(lock, self.alias)
            return self.read()

    def write_fenced(self, total: int, token: str, fence: Fence | KeyValueStoreLock) -> None:
        with transaction.atomic(using=self.alias):
            check_fence(fence, self.alias)
            self.write(total, token)

    def tokens(self) -> dict[str, int]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"SELECT token, number FROM {DONE}")
            return dict(cursor.fetchall())


class Journal:
    """Lines that several processes append, each whole: what was told is there after ``kill -9``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(self, *words: object) -> None:
        line = f"{' '.join(map(str, words))}\n".encode()
        assert os.write(self._file, line) == len(line)

    def lines(self, kind: str) -> list[list[str]]:
        said = [line.split() for line in self.path.read_text().splitlines()]
        return [words[1:] for words in said if words[0] == kind]

    def close(self) -> None:
        os.close(self._file)


def count(region: Region, ledger: Ledger, journal: Journal, name: str, increments: int) -> Iterator[str]:
    """So many increments as this worker; what one of its name did before it was killed counts."""
    done = sum(token.startswith(f"{name}.") for token in ledger.tokens())
    while done < increments:
        token = f"{name}.{done}.{uuid.uuid4().hex[:8]}"
        try:
            with region.lock("counter", timeout=LOCK_SECONDS, blocking_timeout=PATIENCE) as lock:
                journal.tell("holds", name)
                ledger.write_fenced(ledger.read_fenced(lock) + 1, token, lock)
                journal.tell("done", token)
                done += 1
        except (LockTimeout, StaleFenceError) as late:  # the machine paused it for longer than the lock lasts
            journal.tell("late", name, type(late).__name__)
    yield "finished"


def sleep_past_the_timeout(
    region: Region, ledger: Ledger, journal: Journal, rounds: int, is_over: Callable[[], bool]
) -> Iterator[str]:
    """Hold the lock, read, sleep until another has counted, and write with the old fence."""
    for turn in range(rounds):
        lock = region.lock("counter", timeout=LOCK_SECONDS, blocking_timeout=PATIENCE).acquire()
        fence, total = lock.as_fence(), ledger.read_fenced(lock)
        while ledger.read() == total and not is_over():
            time.sleep(0.02)
        try:
            ledger.write_fenced(total + 1, f"late.{turn}", fence)
        except StaleFenceError:
            journal.tell("refused", fence.token)
        with contextlib.suppress(FieldstoneError):
            lock.release()
    yield "finished"
