"""A proxy between a client and a database server, which can cut the connection at any of their turns.

A turn is what the client sends before it waits: a statement, or a step of the login.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import pytest
from django.db import connections

from tests.faults.elsewhere import leading_elsewhere

TIMEOUT = 60.0
PIECE = 65_536


@dataclass
class Fate:
    """What becomes of a connection."""

    turn: int | None = None  # the one it is cut at, the first being 0; None: it lives
    answered: bool = False  # cut before the server hears of that turn, or once it has answered
    turns: int = 0  # so far


class Proxy:
    """Listens on loopback and passes everything on, until it is told to cut."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.fate = Fate()  # of the connections to come
        self._threads = [threading.Thread(target=self._listen)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """To be left once every client has closed."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
        self._listener.close()
        assert not any(thread.is_alive() for thread in self._threads), "a client has left its connection open"

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # it was shut down
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client, self.fate)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket, fate: Fate) -> None:
        with client, socket.create_connection(self._server, TIMEOUT) as server:
            for end in (client, server):
                end.settimeout(TIMEOUT)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):  # the other end is gone, so this connection is over too
                while _exchange(client, server, fate):
                    pass


def _exchange(client: socket.socket, server: socket.socket, fate: Fate) -> bool:
    """Pass on what is there; whether the connection lives on."""
    readable, _, _ = select.select([client, server], [], [], TIMEOUT)
    if server in readable:
        piece = server.recv(PIECE)
        client.sendall(piece)
        return bool(piece)
    piece = client.recv(PIECE)
    if not piece:
        return False
    is_cut, fate.turns = fate.turns == fate.turn, fate.turns + 1
    if is_cut and not fate.answered:
        return False
    server.sendall(piece)
    if is_cut:
        server.recv(PIECE)  # so it has done what it was asked to
        return False
    return True


@contextlib.contextmanager
def proxied(alias: str) -> Iterator[Proxy]:
    """The alias leads through a proxy; the test is skipped where there is no connection to cut."""
    settings = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be cut: it runs in the process")
    options = dict(settings["OPTIONS"])
    if connections[alias].vendor == "postgresql":
        options["sslmode"] = "disable"  # or a cut first turn is taken for a server without TLS, and tried without
    with (
        Proxy(settings["HOST"], int(settings["PORT"])) as proxy,
        leading_elsewhere(alias, HOST="127.0.0.1", PORT=proxy.port, OPTIONS=options),
    ):
        yield proxy
