"""Which server a command goes to, as generators that yield exchanges: the same code serves threads and coroutines.

Why not ``redis.RedisCluster``: it repeats commands whose connection broke, though they may have been done, and it
gives no connection to ``WAIT`` on. Here nothing is sent twice but what a server has refused: MOVED, ASK, NOSCRIPT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, ResponseError

from fieldstone.kvs.backends.redis.links import Command, Exchange, NotServing
from fieldstone.kvs.backends.redis.scripts import BY_DIGEST
from fieldstone.kvs.backends.redis.settings import Place, Settings, place

T = TypeVar("T")
Steps: TypeAlias = Generator[Exchange, list[Any], T]

REDIRECTIONS = 5  # a slot that moves is found after one or two
ASKING: Command = ("ASKING",)
NOBODY = Place(("", 0))
UNAVAILABLE: tuple[type[BaseException], ...] = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ClusterError,
    redis.exceptions.TryAgainError,
    redis.OutOfMemoryError,
    OSError,
)


class Router(ABC):
    def __init__(self, settings: Settings) -> None:
        self._replicas = settings.wait_replicas
        self._wait_ms = settings.wait_ms
        self._wait: Command = ("WAIT", settings.wait_replicas, settings.wait_ms)

    @abstractmethod
    def send(self, name: str, commands: Sequence[Command], *, write: bool = False) -> Steps[list[Any]]:
        """The replies to commands that all concern this name. The first error among them is raised."""

    @abstractmethod
    def send_each(self, commands: Sequence[tuple[str, Command]], *, write: bool = False) -> Steps[list[Any]]:
        """The replies to one command a name, in their order; one round trip a server."""

    @abstractmethod
    def masters(self) -> Steps[list[Place | None]]:
        """All servers that a name can be on."""

    def exchange(self, where: Place | None, commands: Sequence[Command], write: bool) -> Steps[list[Any]]:
        """The replies, errors among them; of writes once enough replicas have them. Raises ``NotServing``."""
        if not write or not self._replicas:
            return (yield where, commands)
        *replies, acknowledged = yield where, [*commands, self._wait]
        if all(isinstance(reply, ResponseError) for reply in replies):
            return replies  # nothing was written
        if isinstance(acknowledged, ResponseError):
            raise acknowledged
        if acknowledged < self._replicas:
            raise NotServing(
                f"it has written, and {acknowledged} of {self._replicas} replicas (wait_replicas) acknowledged"
                f" that within {self._wait_ms} ms"
            )
        return replies


class OneServer(Router):
    """A server alone, or the master that Sentinel names."""

    def send(self, name: str, commands: Sequence[Command], *, write: bool = False) -> Steps[list[Any]]:
        replies = yield from self.exchange(None, commands, write)
        error = first_error(replies)
        if error is None:
            return replies
        if isinstance(error, NoScriptError):
            return (yield from self.send(name, whole(commands), write=write))
        raise error

    def send_each(self, commands: Sequence[tuple[str, Command]], *, write: bool = False) -> Steps[list[Any]]:
        return (yield from self.send("", [command for _, command in commands], write=write))

    def masters(self) -> Steps[list[Place | None]]:
        yield from ()
        return [None]


class Cluster(Router):
    """Servers that share the names by their hash slots."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._nodes = [place(text, "cluster_nodes") for text in settings.cluster_nodes]
        self._masters: list[Place] = []  # by slot
        self._failed: Place | None = None  # the last one
        self._is_stale = True

    def send(self, name: str, commands: Sequence[Command], *, write: bool = False) -> Steps[list[Any]]:
        slot = key_slot(name.encode())
        asked: Place | None = None
        for _ in range(REDIRECTIONS):
            where = asked or (yield from self._master(slot))
            if asked:  # each command has to say so
                replies = yield from self.exchange(
                    where, [one for each in commands for one in (ASKING, each)], write
                )
                replies = replies[1::2]
            else:
                replies = yield from self.exchange(where, commands, write)
            error = first_error(replies)
            if error is None:
                return replies
            asked = None
            if isinstance(error, NoScriptError):
                commands = whole(commands)
            elif isinstance(error, MovedError):
                self._is_stale = True
            elif isinstance(error, AskError):
                asked = Place((error.host or where[0], error.port))
            else:
                raise error
        raise NotServing(f"its nodes disagree about slot {slot}: {REDIRECTIONS} redirections")

    def send_each(self, commands: Sequence[tuple[str, Command]], *, write: bool = False) -> Steps[list[Any]]:
        groups: dict[Place, list[int]] = {}
        for index, (name, _) in enumerate(commands):
            master = yield from self._master(key_slot(name.encode()))
            groups.setdefault(master, []).append(index)
        replies: list[Any] = [None] * len(commands)
        for master, indices in groups.items():
            answers = yield from self.exchange(master, [commands[index][1] for index in indices], write)
            for index, answer in zip(indices, answers, strict=True):
                if isinstance(answer, AskError):  # MOVED too
                    name, command = commands[index]
                    (answer,) = yield from self.send(name, [command], write=write)
                elif isinstance(answer, ResponseError):
                    raise answer
                replies[index] = answer
        return replies

    def masters(self) -> Steps[list[Place | None]]:
        if self._is_stale:
            yield from self._learn()
        return [master for master in dict.fromkeys(self._masters) if master != NOBODY]

    def _master(self, slot: int) -> Steps[Place]:
        if self._is_stale:
            yield from self._learn()
        master = self._masters[slot]
        if master == NOBODY:
            self._is_stale = True
            raise NotServing(f"no node serves slot {slot}")
        return master

    def exchange(self, where: Place | None, commands: Sequence[Command], write: bool) -> Steps[list[Any]]:
        try:
            replies = yield from super().exchange(where, commands, write)
        except UNAVAILABLE:
            self._failed, self._is_stale = where, True
            raise
        self._is_stale |= any(isinstance(reply, ClusterDownError) for reply in replies)
        return replies

    def _learn(self) -> Steps[None]:
        """Ask one node after another who serves what, the one that failed of late last; raises the last error."""
        failure: BaseException = NotServing("no node is known")
        known = dict.fromkeys([*dict.fromkeys(self._masters), *self._nodes])
        known.pop(NOBODY, None)
        for node in sorted(known, key=lambda node: node == self._failed):
            try:
                (reply,) = yield node, [("CLUSTER", "SLOTS")]
            except UNAVAILABLE as error:
                failure = error
                continue
            if isinstance(reply, ResponseError):
                failure = reply
                continue
            masters = [NOBODY] * REDIS_CLUSTER_HASH_SLOTS
            for first, last, master, *_ in reply:
                # A node that does not know its own name leaves it out.
                host = master[0].decode() if master[0] else node[0]
                masters[first : last + 1] = [Place((host, master[1]))] * (last + 1 - first)
            self._masters, self._is_stale = masters, False
            return
        raise failure


def first_error(replies: Sequence[Any]) -> ResponseError | None:
    for reply in replies:
        if isinstance(reply, ResponseError):
            return reply
    return None


def whole(commands: Sequence[Command]) -> list[Command]:
    """With scripts in place of their digests."""
    return [
        ("EVAL", BY_DIGEST[command[1]].text, *command[2:]) if command[0] == "EVALSHA" else command
        for command in commands
    ]
