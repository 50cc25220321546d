"""System check: does the sandbox hold on this system? It is tried, with a program that does its worst."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.checks import CheckMessage, Error

from fieldstone.runtime.sandbox.errors import (
    SandboxLimitError,
    SandboxOffError,
    SandboxRefusedError,
    SandboxSettingError,
)
from fieldstone.runtime.sandbox.limits import current_limits
from fieldstone.runtime.sandbox.runner import PROGRAM, run

_ATTEMPTS = """
import ctypes, json, os, socket, sys

def works(attempt):
    try:
        attempt()
    except Exception:
        return False
    return True

def fork():
    if os.fork() == 0:
        os._exit(0)

attempts = {
    "read other files": lambda: os.listdir("/"),
    "read the server's environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "write a file": lambda: open("written", "wb"),
    "use the network": lambda: socket.socket(),
    "start processes": fork,
    "send signals to the server": lambda: os.kill(os.getppid(), 0),
}
for path in json.load(sys.stdin):
    attempts[f"read {path}"] = lambda path=path: open(path, "rb").read(1)
print(json.dumps([what for what, attempt in attempts.items() if works(attempt)]))
"""


def check_sandbox(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E301 to E303. It takes one run of the sandbox, where that is on."""
    if not isinstance(getattr(settings, "FIELDSTONE", {}), dict):
        return []  # which fieldstone_store.E101 tells
    return list(_messages())


def _messages() -> Iterator[CheckMessage]:
    try:
        holes = _tried()
    except SandboxOffError:
        return
    except SandboxSettingError as error:
        yield Error(
            str(error),
            hint='{"SANDBOX": True} takes the defaults, and None turns Python problems off.',
            id="fieldstone_runtime.E301",
        )
    except (SandboxRefusedError, SandboxLimitError) as error:
        yield Error(
            f"SANDBOX is on, and no Python can be run: {getattr(error, 'reason', error)}",
            hint="It takes Linux 5.13 or newer with Landlock, seccomp and libseccomp2, and a Python that starts "
            "within the limits. Without them, turn Python problems off: SANDBOX None.",
            id="fieldstone_runtime.E302",
        )
    else:
        if holes:
            yield Error(
                f"SANDBOX is on, and what runs in it can {', '.join(holes)}.",
                hint="If it is files: they lie among those of the sandbox's Python. Move them, or name another "
                'Python: {"SANDBOX": {"interpreter": "..."}}.',
                id="fieldstone_runtime.E303",
            )


def _tried() -> list[str]:
    """What a program could do in the sandbox that it should not."""
    limits = current_limits()
    with TemporaryDirectory(prefix="fieldstone-sandbox-") as name:
        Path(name, PROGRAM).write_text(_ATTEMPTS)
        finished = run(Path(name), json.dumps(_secrets()).encode(), limits)
    if finished.status:
        raise SandboxRefusedError(finished.stderr.decode(errors="replace").strip())
    holes: list[str] = json.loads(finished.stdout)
    return holes


def _secrets() -> list[str]:
    """The files of the settings and of SQLite's databases: what is worth most to a stranger."""
    module = sys.modules.get(os.environ.get(ENVIRONMENT_VARIABLE, ""))
    files = [getattr(module, "__file__", None)]
    files += [
        database.get("NAME") for database in settings.DATABASES.values() if "sqlite" in str(database["ENGINE"])
    ]
    return [str(path) for path in map(str, filter(None, files)) if Path(path).is_file()]
