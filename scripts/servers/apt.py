"""Installing Debian packages without starting the daemons in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Iterator, Sequence
from pathlib import Path

from .system import say, tail

POLICY = Path("/usr/sbin/policy-rc.d")


def available() -> bool:
    """Whether packages can be installed here: Debian (or its like), as root."""
    return Path("/etc/debian_version").exists() and bool(shutil.which("apt-get")) and os.geteuid() == 0


@contextlib.contextmanager
def no_daemons() -> Iterator[None]:
    """Keep Debian from starting what it installs. A policy that is there already is its owner's and stays."""
    try:
        with POLICY.open("x") as file:
            file.write("#!/bin/sh\n# Fieldstone's with_servers.py is installing packages.\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


async def install(packages: Sequence[str], log: Path) -> None:
    say(f"installing {', '.join(packages)} with apt-get; this takes a minute or so, once ...")
    began = time.monotonic()
    apt_get = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_daemons(), log.open("wb") as output:
        for task in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            process = await asyncio.create_subprocess_exec(
                *apt_get, *task, env=environment, stdin=DEVNULL, stdout=output, stderr=STDOUT
            )
            failed = await process.wait()
    if failed:
        say(f"apt-get failed (status {failed}). Next: mend that, or --no-install{tail(log)}")
    else:
        say(f"installed in {time.monotonic() - began:.0f} s")
