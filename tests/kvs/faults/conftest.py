"""Servers of a test's own, which it may kill, stop and start again."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldstone.kvs import Region
from tests.faults.instance import Instance

KINDS = {
    "redis": lambda address: {"url": f"redis://{address}/0", "socket_timeout": 0.4, "socket_connect_timeout": 0.4},
    "memcached": lambda address: {"url": address, "timeout": 0.4, "connect_timeout": 0.4},
}


class Own(Instance):
    """A server that keeps nothing on a disk."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.name = name
        self._data.mkdir()
        if self._as_user:
            os.chown(self._data, self._as_user["user"], self._as_user["group"])

    @property
    def address(self) -> str:  # type: ignore[override]
        return f"127.0.0.1:{self._port}"

    def pause(self) -> None:
        """It takes connections and answers nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def region(self, **options: Any) -> Region:
        return Region("faulty").configure(self.name, **{**KINDS[self.name](self.address), **options})


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Own]:
    """Not started yet."""
    with tempfile.TemporaryDirectory(prefix="fieldstone-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's user has to pass through
        own = Own(request.param, folder)
        try:
            yield own
        finally:
            own.kill()


@pytest.fixture
def faulty(server: Own) -> Iterator[Callable[..., Region]]:
    """Makes regions on the server."""
    made: list[Region] = []

    def made_and_kept(**options: Any) -> Region:
        made.append(server.region(**options))
        return made[-1]

    yield made_and_kept
    for region in made:
        region.close()
