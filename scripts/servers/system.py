"""What a session asks of the operating system: ports, users, signals, the end of a log."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TypedDict

HOST = "127.0.0.1"
PORTS = range(20_000, 30_000)  # below 32768, where Linux takes the ports of outgoing connections from
STOP_SECONDS = 10.0


class Account(TypedDict, total=False):
    """The arguments of a subprocess that change its user; none to run it as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def free_port() -> int:
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def demotion(user: str) -> Account:
    """How to run as this user (or nobody) when we are root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def in_foreground() -> bool:
    """Whether the terminal's Ctrl-C reaches us, and so COMMAND too."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def follow_parent(stop: Signals) -> Callable[[], object] | None:
    """Ask Linux to stop the server should this script be killed outright. Must follow the change of user."""
    return partial(ctypes.CDLL(None).prctl, 1, int(stop)) if sys.platform == "linux" else None


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, to follow a message; nothing if the log is empty or was never begun."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "".join(f"\n  | {line}" for line in text.splitlines()[-lines:])


async def stop(process: Process, number: Signals, kill: Callable[[int, int], None] = os.killpg) -> None:
    """Signal a server's process group (COMMAND has none of its own: `os.kill`), then wait, then insist."""
    for signal_number in (number, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                kill(process.pid, signal_number)
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
