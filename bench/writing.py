"""Writers in processes of their own, who wait for the word and then all save into one row at once."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import django
from opaque_keys.edx.keys import UsageKey

from bench.databases import Configuration, Database, open_floor, use
from fieldstone.store.store import Store


class WriterError(Exception):
    """A writer failed; the message is its traceback."""


class Order(NamedTuple):
    """What the writers are told: who writes, and the row."""

    ours: bool
    learner: int
    key: UsageKey
    usage: int


class Writers:
    """Processes that are ready to write; each has a connection of Django's and one of the bare driver's."""

    def __init__(self, pipes: list[Any]) -> None:
        self._pipes = pipes

    def write(self, order: Order) -> None:
        """Returns when the last of them is done. Raises ``WriterError``."""
        for pipe in self._pipes:
            pipe.send(order)
        failures = [failure for pipe in self._pipes if (failure := pipe.recv())]
        if failures:
            raise WriterError(failures[0])


@contextmanager
def writers(database: Database, number: int, fields: int) -> Iterator[Writers]:
    """So many writers, who at each order save so many fields, one a save."""
    context = multiprocessing.get_context("spawn")  # a fork would share the sockets of our connections
    pipes, processes = [], []
    try:
        for n in range(number):
            pipe, childs = context.Pipe()
            names = [field_name(n, field) for field in range(fields)]
            process = context.Process(target=_serve, args=(childs, database.engine, database.configuration, names))
            process.start()
            childs.close()
            pipes.append(pipe)
            processes.append(process)
        yield Writers(pipes)
    finally:
        for pipe in pipes:
            pipe.close()  # which each takes for the end
        for process in processes:
            process.join()


def field_name(writer: int, field: int) -> str:
    return f"writer_{writer}_field_{field}"


def _serve(pipe: Connection, engine: str, configuration: Configuration, names: list[str]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.store_settings"
    django.setup()  # this is a new process
    use({"default": configuration})
    store = Store()
    with open_floor(engine, configuration) as floor:
        while True:
            try:
                order: Order = pipe.recv()
            except EOFError:
                return
            try:
                for name in names:
                    if order.ours:
                        store.save(order.learner, {order.key: {name: 1}}, origin="bench")
                    else:
                        floor.save_locked(order.learner, order.usage, {name: 1})
                pipe.send(None)
            except Exception:
                pipe.send(traceback.format_exc())
