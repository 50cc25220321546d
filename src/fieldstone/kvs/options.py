"""What a region can be told when it is configured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fieldstone import conf
from fieldstone.kvs import serializers
from fieldstone.kvs.serializers import Serializer

SERIALIZERS: dict[str, Callable[[], Serializer]] = {
    "msgpack": serializers.MessagePackSerializer,
    "json": serializers.JSONSerializer,
    "pickle": serializers.SignedPickleSerializer,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a region; all others are its backend's."""

    ttl: float | None = None
    """How long values are kept, in seconds, where a call says nothing; ``None``: until they are deleted."""
    serializer: str | Serializer = "msgpack"
    """``msgpack``, ``json``, ``pickle`` (signed), or an object of one's own."""
    fail: str = "closed"
    """When the server is down ``closed`` raises ``ServiceUnavailable``, ``open`` misses and skips."""
    breaker_failures: int = 5
    """So many failures in a row open the circuit breaker."""
    breaker_seconds: float = 5.0
    """So often a call is let through while it is open."""
    prefix: str | None = None
    """Before every key on the server; the region's name, unless something else is given."""
    lock_timeout: float | None = None
    """For how long a lock is held at most, in seconds; ``LOCK_TIMEOUT`` of the settings."""
    blocking_timeout: float | None = None
    """How long a lock is waited for, in seconds; twice its timeout."""
    max_lock_attempts: int | None = None
    """Bounds the waiting by so many seconds: older code counted tries, a second apart at most."""
    publish_statistics: float | None = 10.0
    """So often, in seconds, a process tells its counts to the others, by the region's server; ``None``: never."""

    @classmethod
    def taken_from(cls, arguments: dict[str, Any]) -> Options:
        """The options among these arguments, which are taken out of them. Raises ``ValueError``, ``TypeError``."""
        names = {field.name for field in dataclasses.fields(cls)}
        options = cls(**{name: arguments.pop(name) for name in names & arguments.keys()})
        options._check()
        return options

    def _check(self) -> None:
        for name in ("ttl", "breaker_seconds", "lock_timeout", "publish_statistics"):
            value = getattr(self, name)
            if value is not None and not is_duration(value):
                raise ValueError(f"{name} is {value!r}, and should be a number of seconds above 0")
        for name in ("lock_timeout", "blocking_timeout"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 <= value < math.inf):
                raise ValueError(f"{name} is {value!r}, and should be a finite number of seconds")
        for name in ("breaker_failures", "max_lock_attempts"):
            value = getattr(self, name)
            if value is not None and not is_integer(value, at_least=1):
                raise ValueError(f"{name} is {value!r}, and should be a number, 1 or more")
        if self.fail not in ("open", "closed"):
            raise ValueError(f"fail is {self.fail!r}, and should be 'open' or 'closed'")
        if not isinstance(self.serializer, Serializer) and self.serializer not in list(SERIALIZERS):
            raise ValueError(f"there is no serializer {self.serializer!r}: one of {', '.join(SERIALIZERS)}")

    def make_serializer(self) -> Serializer:
        return self.serializer if isinstance(self.serializer, Serializer) else SERIALIZERS[self.serializer]()

    def lock_times(self, timeout: float | None, blocking_timeout: float | None) -> tuple[float, float]:
        """For how long a lock is held and waited for, where a caller gave these. Raises ``ValueError``."""
        held = timeout if timeout is not None else self.lock_timeout or conf.lock_timeout()
        if not is_duration(held) or math.isinf(held):
            raise ValueError(f"the lock's timeout is {held!r}, and should be a number of seconds above 0")
        waited = blocking_timeout
        if waited is None:
            waited = 2 * held if self.blocking_timeout is None else self.blocking_timeout
            waited = min(waited, self.max_lock_attempts or math.inf)
        if not is_number(waited) or not 0 <= waited < math.inf:
            raise ValueError(f"blocking_timeout is {waited!r}, and should be a number of seconds, 0 or more")
        return float(held), float(waited)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: object, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def lowered(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A region's configuration in the settings, ``{"BACKEND": "redis", "TTL": 60}``, as arguments."""
    return {str(name).lower(): value for name, value in configuration.items()}
