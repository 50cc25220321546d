"""The servers of one run, from their start to their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals

from . import apt
from .catalogue import Need
from .system import HOST, demotion, follow_parent, free_port, in_foreground, say, stop, tail

ATTEMPTS = 3  # another process may take the port between the choice and the start
START_SECONDS = 60.0  # with the making of its data


class ServerFailed(Exception):
    """A server did not come up."""


async def answer(need: Need, port: int) -> str | None:
    """The version that the server on this port answers with; None while it does not answer."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        with contextlib.closing(writer):
            writer.write(need.hello)
            heard = b""
            while piece := await reader.read(4096):
                heard += piece
                if found := need.answer.search(heard):
                    return found[1].decode()
    except OSError:
        pass
    return None


class Session:
    """The servers of one run. `on_signal` is what an interruption means at the present stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = dict(os.environ)
        self.ready: list[str] = []
        self.failures: list[str] = []
        self.running: list[tuple[Process, Signals]] = []
        self.received: Signals | None = None
        self.on_signal: Callable[[Signals], object] = lambda number: None

    def watch(self) -> None:
        def receive(number: Signals) -> None:
            self.received = number
            self.on_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                asyncio.get_running_loop().add_signal_handler(number, receive, number)

    async def provide(self, needs: Sequence[Need], may_install: bool) -> None:
        """Have every need met, or its failure noted."""
        wanted = [need for need in needs if not self.environment.get(need.variable)]
        self.ready += [f"{need.name} as {need.variable} says" for need in needs if need not in wanted]
        absent = [package for need in wanted if not need.program for package in need.packages]
        if absent and may_install and apt.available():
            await apt.install(absent, self.folder / "apt.log")  # signals wait: dpkg must not stop halfway
        if self.received:
            raise asyncio.CancelledError
        starting = asyncio.current_task()
        self.on_signal = lambda number: starting and starting.cancel()
        async with asyncio.TaskGroup() as group:
            for need in wanted:
                group.create_task(self.meet(need))

    async def meet(self, need: Need) -> None:
        began = time.monotonic()
        program = need.program
        if not program:
            self.failures.append(f"no {need.name}: {need.programs[0]} is not installed. Next: {need.remedy}")
        elif not need.command:
            self.environment[need.variable] = str(program)
            self.ready.append(f"{need.name} at {program}")
        else:
            try:
                found, port = await self.start(need, program)
            except ServerFailed as failure:
                log = tail(self.folder / f"{need.name}.log")
                self.failures.append(f"no {need.name}: {failure}. Next: mend that, or {need.remedy}{log}")
            else:
                self.environment[need.variable] = need.url.format(host=HOST, port=port)
                took = time.monotonic() - began
                self.ready.append(f"{need.name} {found} on {HOST}:{port} ({took:.1f} s)")

    async def start(self, need: Need, program: Path) -> tuple[str, int]:
        """Start one server: its version and port, once it answers."""
        data, log = self.folder / need.name, self.folder / f"{need.name}.log"
        data.mkdir(mode=0o700)
        if as_user := demotion(need.user):
            os.chown(data, as_user["user"], as_user["group"])
        values = {"program": program, "base": program.resolve().parent.parent, "data": data, "host": HOST}

        async def spawn(template: str, port: int = 0) -> Process:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *(word.format(**values, port=port) for word in shlex.split(template)),
                    **as_user,
                    cwd=data,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    start_new_session=True,  # Ctrl-C is for COMMAND; the servers stop after it
                    preexec_fn=follow_parent(need.stop),
                )
            self.running.append((process, need.stop))
            return process

        try:
            async with asyncio.timeout(START_SECONDS):
                if need.prepare and (status := await (await spawn(need.prepare)).wait()):
                    raise ServerFailed(f"preparing its data failed (status {status})")
                for _ in range(ATTEMPTS):
                    port = free_port()
                    process = await spawn(need.command, port)
                    while process.returncode is None:
                        if found := await answer(need, port):
                            return found, port
                        await asyncio.sleep(0.02)
        except TimeoutError:
            raise ServerFailed(f"it did not answer within {START_SECONDS:.0f} s") from None
        except OSError as error:
            raise ServerFailed(str(error)) from error
        raise ServerFailed(f"it ended at once (status {process.returncode}), {ATTEMPTS} times")

    async def run(self, command: Sequence[str]) -> int:
        """The command's exit status, as a shell would give it."""
        try:
            process = await asyncio.create_subprocess_exec(*command, env=self.environment)
        except OSError as error:
            say(f"cannot run {command[0]}: {error.strerror}. Next: mend the command after --")
            return 127
        stopping = set()

        def pass_on(number: Signals) -> None:
            if number != signal.SIGINT:
                stopping.add(asyncio.ensure_future(stop(process, number, os.kill)))
            elif not in_foreground():  # otherwise the terminal has told COMMAND itself
                process.send_signal(number)

        self.on_signal = pass_on
        status = await process.wait()
        return 128 - status if status < 0 else status

    async def close(self) -> None:
        self.on_signal = lambda number: None
        await asyncio.gather(*(stop(process, number) for process, number in self.running))
