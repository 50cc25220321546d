"""What the Python of problems cannot do. Each is tried for real."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fieldstone.runtime.sandbox.runner import PROGRAM

ROOT = Path(__file__).resolve().parents[3]
SECRETS = [
    str(ROOT / "tests" / "settings.py"),
    str(ROOT / "pyproject.toml"),
    "/etc/passwd",
    f"/proc/{os.getpid()}/environ",
    f"/proc/{os.getpid()}/maps",
    "/proc/self/environ",
]
FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a socket of the machine's own": "import socket; socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "import socket; socket.socketpair()",
    "a process": "import os; os.fork()",
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "a command": "import subprocess; subprocess.run(['true'])",
    "a signal to the server": f"import os; os.kill({os.getpid()}, 0)",
    "a signal to everybody": "import os; os.kill(-1, 0)",
    "a pidfd of the server": f"import os; os.pidfd_open({os.getpid()})",
    "the server's limits": f"import resource; resource.prlimit({os.getpid()}, resource.RLIMIT_CPU)",
    "the server's priority": f"import os; os.setpriority(os.PRIO_PROCESS, {os.getpid()}, 19)",
    "a new file": "open('new', 'w')",
    "its own file": f"open({PROGRAM!r}, 'a')",
    "a file cut to nothing": f"import os; os.open({PROGRAM!r}, os.O_RDONLY | os.O_TRUNC)",
    "a folder": "import os; os.mkdir('new')",
    "another mode": f"import os; os.chmod({PROGRAM!r}, 0)",
    "another time": f"import os; os.utime({PROGRAM!r})",
    "a file gone": f"import os; os.remove({PROGRAM!r})",
    "a file renamed": f"import os; os.rename({PROGRAM!r}, 'new')",
    "a link": "import os; os.symlink('/etc', 'new')",
    "memory that is no address space": "import os; os.memfd_create('new')",
    "a pipe": "import os; os.pipe()",
    "another user": "import os; os.setuid(1)",
    "a looser limit": "import resource as r; r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY))",
}


@pytest.mark.parametrize("path", SECRETS)
def test_files_of_the_server_cannot_be_read(jailed, path):
    assert Path(path).read_bytes()
    finished = jailed(f"open({path!r}, 'rb').read()")
    assert finished.status == 1
    assert b"PermissionError" in finished.stderr


def test_the_database_cannot_be_read(jailed, tmp_path_factory):
    database = tmp_path_factory.mktemp("elsewhere") / "db.sqlite3"
    database.write_bytes(b"everything")
    assert b"PermissionError" in jailed(f"open({str(database)!r}, 'rb')").stderr
    assert b"PermissionError" in jailed(f"import os; os.listdir({str(database.parent)!r})").stderr


def test_a_link_in_its_folder_does_not_lead_out(jailed, tmp_path):
    (tmp_path / "out").symlink_to("/etc/passwd")
    assert b"PermissionError" in jailed("open('out')").stderr


@pytest.mark.parametrize("program", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_it_is_refused(jailed, tmp_path, program):
    finished = jailed(program)
    assert finished.status == 1
    assert b"PermissionError" in finished.stderr or b"ValueError: not allowed to raise" in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == [PROGRAM]


def test_threads_are_refused(jailed):
    assert b"can't start new thread" in jailed("import threading; threading.Thread(target=print).start()").stderr


@pytest.mark.parametrize(
    "call", ["unshare(0x10000000)", "ptrace(16, {0}, 0, 0)", "shmget(0, 4096, 0o1600)", "setsid()"]
)
def test_calls_of_the_system_by_hand_are_refused(jailed, call):
    program = f"import ctypes; print(ctypes.CDLL(None).{call.format(os.getpid())})"
    assert jailed(program).stdout == b"-1\n"


def test_a_server_on_this_machine_is_not_reached(jailed):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()
        finished = jailed(f"import socket; socket.create_connection({address!r})")
    assert b"PermissionError" in finished.stderr


def test_the_servers_environment_is_not_handed_on(jailed, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "told to nobody")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    finished = jailed("import os, sys; print(dict(os.environ), sys.path)")
    assert b"told to nobody" not in finished.stdout
    assert repr(str(ROOT)).encode() not in finished.stdout


def test_open_files_of_the_server_are_not_handed_on(jailed):
    with Path("/etc/passwd").open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        finished = jailed(f"import os; os.read({file.fileno()}, 1)")
    assert b"Bad file descriptor" in finished.stderr


@pytest.fixture
def sleeper(tmp_path):
    """A worker, and the process id of what it runs in the sandbox, which sleeps."""
    (tmp_path / PROGRAM).write_text("import time; time.sleep(600)")
    code = """
import sys
from pathlib import Path
from fieldstone.runtime.sandbox.limits import Limits
from fieldstone.runtime.sandbox.runner import run
run(Path(sys.argv[1]), b"", Limits(wall_seconds=600))
"""
    worker = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)])
    try:
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        while not (found := children.read_text().split()) or "Seccomp:\t2" not in status_of(found[0]):
            assert worker.poll() is None
        yield worker, int(found[0])
    finally:
        worker.kill()
        worker.wait()


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


def test_privileges_are_given_up_for_good(sleeper):
    """Those of root too, where the server is root."""
    status = dict(line.split(":\t", 1) for line in status_of(sleeper[1]).splitlines())
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


def test_it_ends_with_the_servers_process(sleeper):
    """Killed in the middle, a worker leaves nothing behind."""
    worker, pid = sleeper
    jail = os.pidfd_open(pid)
    try:
        worker.kill()
        poll = select.poll()
        poll.register(jail, select.POLLIN)
        assert poll.poll(30_000)
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(jail, signal.SIGKILL)
        os.close(jail)
