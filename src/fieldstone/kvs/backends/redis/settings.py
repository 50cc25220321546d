"""What an operator says about the servers, checked before anything is asked of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider
from redis.retry import Retry

DEFAULT_URL = "redis://localhost:6379/0"
SHORTEST_TIMEOUT = 0.3  # a waiter blocks for half of it, and Redis ends that up to 0.1 s late (hz 10)
_IN_URL = re.compile(r"host|port|path|db|client_name|ssl_\w+")
_PLACE = re.compile(r"(?P<host>[^\s:/@]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")


class Place(tuple[str, int]):
    """A host and a port."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self[0]}:{self[1]}"


def place(text: object, option: str) -> Place:
    """Of "host:port". Raises ``ValueError``."""
    found = _PLACE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not 0 < int(found["port"]) < 65536:
        # The text stays out of the message: who writes a URL here may have written a password.
        raise ValueError(
            f"{option} has an entry that is not 'host:port': write it so, without scheme and credentials"
        )
    return Place((found["host"].strip("[]"), int(found["port"])))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Raises ``ValueError`` for what is wrong or contradicts itself. Its ``repr`` has no secrets."""

    url: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinels: Sequence[str] = ()
    service_name: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    cluster_nodes: Sequence[str] = ()
    db: int | None = None
    tls: bool = False
    tls_ca_certs: str | None = None
    socket_timeout: float = 2.0  # seconds
    socket_connect_timeout: float = 1.0  # seconds
    max_connections: int | None = None
    wait_replicas: int = 0
    wait_ms: int = 500

    def __post_init__(self) -> None:
        self._check_kinds()
        for name in ("socket_timeout", "socket_connect_timeout"):
            _check_number(name, getattr(self, name), (int, float), SHORTEST_TIMEOUT, "seconds")
        if self.max_connections is not None:
            _check_number("max_connections", self.max_connections, int, 1, "connections")
        _check_number("wait_replicas", self.wait_replicas, int, 0, "replicas")
        _check_number("wait_ms", self.wait_ms, int, 1, "milliseconds")
        if self.wait_replicas and self.wait_ms >= self.socket_timeout * 1000:
            raise ValueError(
                f"wait_ms is {self.wait_ms}, as long as socket_timeout ({self.socket_timeout:g} s) or longer: the"
                " connection would be given up before the replicas are. Make one shorter or the other longer"
            )
        self.connection()

    def _check_kinds(self) -> None:
        kinds = [name for name in ("url", "sentinels", "cluster_nodes") if getattr(self, name)]
        if len(kinds) > 1:
            raise ValueError(f"{' and '.join(kinds)} exclude each other: keep the one that is meant")
        if bool(self.sentinels) != bool(self.service_name):
            raise ValueError("sentinels and service_name belong together: give both, or neither")
        if not self.sentinels and (self.sentinel_username or self.sentinel_password):
            raise ValueError("sentinel_username and sentinel_password are for sentinels: give these too, or none")
        for name in ("sentinels", "cluster_nodes"):
            listed = getattr(self, name)
            if isinstance(listed, str):
                raise ValueError(f"{name} is a text, and should be a list of 'host:port'")
            for text in listed:
                place(text, name)
        if self.cluster_nodes and self.db:
            raise ValueError(f"db is {self.db}, and a Cluster has only 0: leave it out")
        if (self.tls or self.tls_ca_certs) and not (self.sentinels or self.cluster_nodes):
            raise ValueError("tls is for sentinels and cluster_nodes: for one server write a url with rediss://")
        if self.tls_ca_certs and not self.tls:
            raise ValueError("tls_ca_certs is given and tls is not: add tls=True, or leave it out")

    def connection(self) -> dict[str, Any]:
        """The arguments of a connection of redis-py, without where to (but for a url) and without secrets."""
        options = self._of_url() if not (self.sentinels or self.cluster_nodes) else self._of_lists()
        username, password = options.pop("username", None), options.pop("password", None)
        for name, here in (("username", username), ("password", password)):
            if here and getattr(self, name):
                raise ValueError(f"{name} is given in the url and as an option: give it once")
        return options | self._common() | _credentials(username or self.username, password or self.password)

    def sentinel_connection(self) -> dict[str, Any]:
        """The same, to the sentinels."""
        return (
            {name: value for name, value in self._of_lists(ssl=True).items() if name != "db"}
            | self._common()
            | _credentials(self.sentinel_username, self.sentinel_password)
        )

    def _of_url(self) -> dict[str, Any]:
        try:
            options: dict[str, Any] = dict(parse_url(self.url or DEFAULT_URL))
        except (ValueError, AttributeError, TypeError):
            # Not told in its words, nor chained: it repeats parts of the url, and of a password in it.
            raise ValueError(
                "url is not understood: write redis://, rediss:// or unix:// and what follows, with special"
                " characters of a password percent-encoded"
            ) from None
        secret = {"username", "password", "connection_class"}
        if wrong := sorted(name for name in options.keys() - secret if not _IN_URL.fullmatch(name)):
            raise ValueError(
                f"url has {', '.join(wrong)} in its query: give it as an option of the region, if it is one"
            )
        if self.db is not None and options.setdefault("db", self.db) != self.db:
            raise ValueError(f"url has the database {options['db']}, and db is {self.db}: give it once")
        return options

    def _of_lists(self, *, ssl: bool = False) -> dict[str, Any]:
        """For Sentinel and for Redis objects TLS is a flag, and else a class of connections."""
        options: dict[str, Any] = {"db": self.db or 0}
        if self.tls:
            options |= {"ssl": True} if ssl or self.sentinels else {"connection_class": SSLConnection}
            if self.tls_ca_certs:
                options["ssl_ca_certs"] = self.tls_ca_certs
        return options

    def _common(self) -> dict[str, Any]:
        return {
            "socket_timeout": self.socket_timeout,
            "socket_connect_timeout": self.socket_connect_timeout,
            # redis-py would send a command again after a timeout, and so count twice, or lock twice.
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # no need of 3, which costs a greeting and changes shapes of replies
            "max_connections": self.max_connections or 2**31,
        }

    @property
    def address(self) -> str:
        if self.sentinels:
            return f"{self.service_name} of sentinels {', '.join(self.sentinels)}"
        if self.cluster_nodes:
            return f"cluster {', '.join(self.cluster_nodes)}"
        options = self.connection()
        where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        return f"{where}/{options.get('db', 0)}"


def _credentials(username: str | None, password: str | None) -> dict[str, CredentialProvider]:
    """A provider, not the texts: what holds these shows its arguments in its ``repr``."""
    if username is None and password is None:
        return {}
    return {"credential_provider": UsernamePasswordCredentialProvider(username, password)}


def _check_number(
    name: str, value: object, kind: type[int] | tuple[type[int], type[float]], least: float, unit: str
) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < 2**31:
        raise ValueError(f"{name} is {value!r}, and should be a number of {unit}, {least:g} or more")
