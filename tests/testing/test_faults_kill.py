"""``kill_server_at`` on servers of the tests' own, and the processes that it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError, connections

from fieldstone.testing.faults import FaultNotPossible, kill, kill_server_at, server_pid
from fieldstone.testing.faults.processes import stat_of
from tests.faults.conftest import open_folder  # noqa: F401
from tests.faults.instance import serving
from tests.testing.conftest import on_engines
from tests.testing.counters import add, names, save


@pytest.fixture
def instance(alias, open_folder):  # noqa: F811
    """A server with the blog's tables, which the alias leads to; for SQLite there is none."""
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no server")
    with serving(alias, open_folder, app=None) as instance:
        yield instance


@on_engines(transaction=True)
def test_what_was_committed_is_there_after_the_server_is_back_and_nothing_else(alias, instance):
    """Before a COMMIT, after it, amid a transaction; by its number, and by a function that kills it itself."""
    cases = [
        ("COMMIT", "before", server_pid(alias), False),
        ("COMMIT", "after", lambda: server_pid(alias), True),
        ("INSERT", "after", lambda: instance.kill(), False),
    ]
    expected = []
    for number, (pattern, when, pid, is_there) in enumerate(cases):
        pair = [f"{number}a", f"{number}b"]
        with kill_server_at(pattern, pid=pid, when=when, using=alias) as point, _failing(pattern, when):
            save(alias, *pair)
        assert point.reached
        with pytest.raises(OperationalError):
            names(alias)  # it connects anew, and there is nobody
        instance.start()
        expected += pair if is_there else []
        assert names(alias) == expected


def _failing(pattern, when):
    """The statement fails, or the next one: after a COMMIT there is one that tells MariaDB to commit by itself."""
    if (pattern, when) == ("COMMIT", "after"):
        return contextlib.suppress(OperationalError)
    return pytest.raises(OperationalError)


@on_engines(transaction=True)
def test_no_session_of_the_server_outlives_it(alias, instance):
    """PostgreSQL's are processes of their own: another connection's, too, is over at once."""
    server = instance.process
    other = connections[alias].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
            with kill_server_at("INSERT", pid=server, using=alias), pytest.raises(OperationalError):
                add(alias, "clicks")
            assert server.returncode == -signal.SIGKILL
            with pytest.raises(OperationalError):
                cursor.execute("SELECT 1")
    finally:
        other.close()


@on_engines(transaction=True)
def test_a_server_may_be_told_to_end_in_its_own_way(alias, instance):
    number = signal.SIGINT if alias == "postgresql" else signal.SIGTERM
    server = instance.process
    with kill_server_at("INSERT", pid=server, signal=number, using=alias), pytest.raises(OperationalError):
        save(alias, "clicks")
    assert server.returncode == 0
    instance.start()
    assert names(alias) == []


@on_engines(transaction=True)
def test_the_servers_process_is_told_by_the_server(alias):
    if connections[alias].vendor == "sqlite":
        with pytest.raises(FaultNotPossible, match=f"^{alias!r} is SQLite. SQLite runs in your own process"):
            server_pid(alias)
        return
    program, *options = Path(f"/proc/{server_pid(alias)}/cmdline").read_text().split("\0")
    assert re.search("/(postgres|mariadbd)$", program)
    assert any(str(connections[alias].settings_dict["PORT"]) in option for option in options)


@on_engines(transaction=False)
def test_in_a_test_case_it_is_refused(alias):
    fault = kill_server_at("INSERT", pid=os.getpid(), using=alias)
    reason = "is SQLite" if connections[alias].vendor == "sqlite" else "would lose the transaction that TestCase"
    with pytest.raises(FaultNotPossible, match=reason), fault:
        pass


@on_engines(transaction=True)
def test_of_a_process_that_cannot_be_killed_it_is_said_where_it_was_to_be(alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no server")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    has_ended = "has ended already, with status 0"
    for pid, reason in [
        (gone.pid, "kill_server_at('SELECT') cannot kill the server: [Errno 3] No such process."),
        (
            gone,
            f"kill_server_at('SELECT') cannot kill the server: process {gone.pid} {has_ended}.",
        ),
        (
            os.getpid,
            f"kill_server_at('SELECT'): {os.getpid()} is the process that the test runs in, not a server.",
        ),
    ]:
        with pytest.raises(FaultNotPossible) as caught, kill_server_at("SELECT", pid=pid, using=alias):
            names(alias)
        assert str(caught.value) == reason


@on_engines(transaction=True)
def test_code_that_takes_a_fault_that_cannot_be_made_for_its_own_does_not_hide_it(alias):
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no server")
    fault = kill_server_at("SELECT", pid=os.getpid, using=alias)
    with pytest.raises(FaultNotPossible), fault, contextlib.suppress(Exception):
        names(alias)


def test_a_process_is_killed_with_all_that_it_has_started():
    parent = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid); sys.stdout.flush()"
    )
    process = subprocess.Popen([sys.executable, "-c", f"{parent}; child.wait()"], stdout=subprocess.PIPE)
    with process:
        child = int(process.stdout.readline())
        kill(process)
    assert process.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{child}").exists() or stat_of(child)[0] == "Z"  # which nobody has waited for yet


def test_a_process_that_stays_is_told(monkeypatch):
    monkeypatch.setattr("fieldstone.testing.faults.processes.SECONDS", 0)
    program = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: None); print(); signal.pause(); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(FaultNotPossible) as caught:
            kill(process, signal.SIGTERM)
        process.kill()
    assert str(caught.value) == (
        f"process {process.pid} lives on, 0 s after SIGTERM.\n"
        "PostgreSQL waits for its clients on SIGTERM; SIGINT, SIGQUIT and SIGKILL end it at once."
    )


PROGRAM = """
import django, sys
from django.conf import settings
from django.db import connection, transaction
from fieldstone.testing.faults import at_statement, kill_self

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}})
django.setup()
with at_statement("COMMIT", kill_self, nth=2, when=sys.argv[2]), connection.cursor() as cursor:
    for sql in ("CREATE TABLE t (x int)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"):
        with transaction.atomic():
            cursor.execute(sql)
"""


@pytest.mark.parametrize(("when", "rows"), [("before", 0), ("after", 1)])
def test_a_process_of_ones_own_ends_at_a_statement(tmp_path, when, rows):
    """The crash that there is for SQLite."""
    file = tmp_path / "database"
    process = subprocess.run([sys.executable, "-c", PROGRAM, file, when], check=False)
    assert process.returncode == -signal.SIGKILL
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM t").fetchone() == (rows,)


@pytest.mark.parametrize(
    ("pid", "number", "error", "text"),
    [
        (0, 9, ValueError, "pid is the number of one process, not 0"),
        (-1, 9, ValueError, "pid is the number of one process, not -1"),
        (True, 9, ValueError, "pid is the number of one process, not True"),
        ("7", 9, TypeError, "pid is a server's process: a number, a Popen, or a function that gives it; not '7'"),
        (7, 999, ValueError, "999 is not a valid Signals"),
    ],
)
def test_bad_arguments_are_refused_at_once(pid, number, error, text):
    with pytest.raises(error, match=text):
        kill_server_at("SELECT", pid=pid, signal=number)
