"""Processes that are ended outright."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fieldstone.testing.faults.points import FaultNotPossible

Process = int | subprocess.Popen[bytes] | subprocess.Popen[str]
SECONDS = 60
"""How long a process may take to end."""
PAUSE = 0.01
"""Seconds between two looks, where the system cannot tell when a process ends."""


def kill_self() -> None:
    """End this process as ``kill -9`` does: nothing is flushed, closed or cleaned up.

    For a process of a test's own, as the ``call`` of ``at_statement``. Of SQLite, which has no server, this is the
    crash that there is.
    """
    os.kill(os.getpid(), signal.SIGKILL)


def kill(process: Process, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process, by default ``kill -9``, and wait until it is gone.

    With ``SIGKILL`` all that it has started go with it: the sessions of a server would live on for a moment.
    Raises ``ProcessLookupError`` if there is no such process, ``PermissionError`` if it is not ours to kill, and
    ``FaultNotPossible`` if it does not end.
    """
    pid = process if isinstance(process, int) else process.pid
    if not isinstance(process, int) and process.poll() is not None:
        raise ProcessLookupError(f"process {pid} has ended already, with status {process.returncode}")
    family = [pid]
    if number == signal.SIGKILL:
        os.kill(pid, signal.SIGSTOP)  # or it might start another one after we have looked
        family += descendants_of(pid)
    with contextlib.ExitStack() as stack:
        watched = [(each, stack.enter_context(_watching(each))) for each in family]
        for each in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)
        for each, has_ended in watched:
            if not has_ended():
                raise FaultNotPossible(_lives_on(each, number))
    if isinstance(process, int):
        with contextlib.suppress(ChildProcessError):  # it is not a child of ours
            os.waitpid(
                process, 0
            )  # as long as nobody has, its number is taken, and PostgreSQL does not start again
    else:
        process.wait(SECONDS)


def descendants_of(pid: int) -> list[int]:
    """Processes that this one has started, and those have, and so on; as of now."""
    children: dict[int, list[int]] = {}
    for each, parent in _parents():
        children.setdefault(parent, []).append(each)
    found = children.get(pid, [])
    for each in found:  # which grows meanwhile
        found += children.get(each, [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Of every process of this machine, its number and its parent's."""
    if sys.platform != "linux":
        listed = subprocess.run(["ps", "-A", "-o", "pid=", "-o", "ppid="], capture_output=True, check=True)  # noqa: S607
        for line in listed.stdout.splitlines():
            pid, parent = map(int, line.split())
            yield pid, parent
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            yield int(folder.name), int(stat_of(int(folder.name))[1])


def stat_of(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on: ``proc(5)`` counts that as the third field."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()  # its name, in brackets, may hold anything


@contextlib.contextmanager
def _watching(pid: int) -> Iterator[Callable[[], bool]]:
    """Tells whether the process ends within the time that it has; begun before it is killed, so it is that one."""
    if sys.platform != "linux":
        yield lambda: any(not _is_there(pid) or time.sleep(PAUSE) for _ in range(int(SECONDS / PAUSE)))
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda: True
        return
    end = select.poll()
    end.register(descriptor, select.POLLIN)
    try:
        yield lambda: bool(end.poll(SECONDS * 1000))
    finally:
        os.close(descriptor)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _lives_on(pid: int, number: int) -> str:
    return (
        f"process {pid} lives on, {SECONDS} s after {signal.Signals(number).name}.\n"
        "PostgreSQL waits for its clients on SIGTERM; SIGINT, SIGQUIT and SIGKILL end it at once."
    )
