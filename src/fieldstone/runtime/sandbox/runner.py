"""Runs a program in a confined process of its own, and waits for its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from fieldstone.runtime.sandbox import launcher
from fieldstone.runtime.sandbox.errors import SandboxLimitError, SandboxRefusedError
from fieldstone.runtime.sandbox.limits import Limits

PROGRAM = "jailed_code"  # the file in the folder that is run

_ALONE = {  # without these, libraries for mathematics start threads, which are refused
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Finished:
    """A program that came to its end, or failed by its own mistake."""

    status: int  # 0, or another exit status; negative: the signal that ended it
    stdout: bytes
    stderr: bytes


def run(folder: Path, stdin: bytes, limits: Limits) -> Finished:
    """Run ``jailed_code`` of ``folder``, which it and the modules it imports are read from.

    Raises ``SandboxLimitError`` when it was stopped, ``SandboxRefusedError`` when it cannot be confined.
    """
    if sys.platform != "linux":
        raise SandboxRefusedError("that takes Linux.")
    # Files, not pipes: their sizes are limited by the kernel, and nobody has to read along.
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # the program is named by the site's settings
                _command(limits),
                cwd=folder,
                env={**_ALONE, "HOME": str(folder)},
                stdin=given,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxRefusedError(f"{limits.interpreter} cannot be started: {error.strerror}.") from error
        in_time = _wait(process, limits.wall_seconds)
        out.seek(0)
        err.seek(0)
        finished = Finished(process.returncode, out.read(), err.read())
    _raise_if_stopped(finished, in_time, limits)
    return finished


def _command(limits: Limits) -> list[str]:
    bounds = (os.getpid(), limits.seconds, limits.memory_mb << 20, limits.output_kb << 10)
    return [limits.interpreter, "-I", "-S", "-B", "-X", "utf8", launcher.__file__, *map(str, bounds)]


def _wait(process: subprocess.Popen[bytes], seconds: int) -> bool:
    """Did it end in time? If not it is killed; it cannot have started others."""
    watched = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        process.kill()  # also when the wait itself is interrupted; does nothing to one that has ended
        process.wait()
        os.close(watched)


def _raise_if_stopped(finished: Finished, in_time: bool, limits: Limits) -> None:
    if not in_time:
        raise SandboxLimitError(f"it took longer than {limits.wall_seconds} seconds")
    if finished.status == launcher.REFUSED:
        raise SandboxRefusedError(finished.stderr.decode(errors="replace").strip())
    too_long = f"it computed for longer than {limits.seconds} seconds"
    stops = {
        launcher.OUT_OF_MEMORY: f"it wanted more than {limits.memory_mb} MB of memory",
        -signal.SIGXCPU: too_long,
        -signal.SIGKILL: f"{too_long}, or the server ran out of memory",
        -signal.SIGXFSZ: f"it printed or kept more than {limits.output_kb} kB",
    }
    if finished.status in stops:
        raise SandboxLimitError(stops[finished.status])
