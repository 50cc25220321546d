"""What an operator wants to know of a region: does its server answer, and how do the processes do that use it?"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import Error as DatabaseError

from fieldstone.errors import FieldstoneError
from fieldstone.kvs.backends.base import Backend
from fieldstone.kvs.publishing import Published, total
from fieldstone.kvs.region import Region
from fieldstone.kvs.regions import regions
from fieldstone.kvs.statistics import Snapshot

ANSWERS = "answers"
SILENT = "does not answer"
MISCONFIGURED = "not configured rightly"


@dataclass(frozen=True, kw_only=True)
class Report:
    """One region at one moment."""

    region: str
    state: str
    """``ANSWERS``, ``SILENT`` or ``MISCONFIGURED``."""
    reason: str = ""
    """Why it does not answer, and the next step."""
    milliseconds: float | None = None
    """How long one reading took, with the connection open."""
    backend: str = ""
    address: str = ""
    publishes: bool = False
    """Whether its processes tell their counts at all."""
    processes: Sequence[Published] = ()
    server: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The server's own figures."""

    @property
    def counts(self) -> Snapshot:
        """Of all processes together."""
        return total(process.counts for process in self.processes)

    def as_json(self) -> dict[str, Any]:
        told = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        processes = [
            {"host": process.host, "pid": process.pid, "age": process.age, **_figures(process.counts)}
            for process in self.processes
        ]
        counts = _figures(self.counts) if self.publishes else None
        return {**told, "server": dict(self.server), "counts": counts, "processes": processes}


def report(name: str) -> Report:
    """Asks the server; raises nothing for what is wrong with it."""
    try:
        region = regions[name]
        backend = region.backend
    except (FieldstoneError, TypeError, ImportError) as error:
        step = "Correct it in REGIONS of FIELDSTONE; manage.py check says more."
        return Report(region=name, state=MISCONFIGURED, reason=f"{_sentence(error)} {step}")
    publisher = region._runner().publisher
    asked = Report(region=name, state=ANSWERS, backend=backend.kind, address=backend.address)
    try:
        # Past the region: its circuit breaker would answer for it, and whoever looks would be seen as a process.
        told = publisher.read(backend.get_many(publisher.names)) if publisher.is_able else []
        milliseconds = _measured(region, backend)
        server = backend.server_statistics()
    except Exception as error:  # of whatever driver: this is where it is told
        return dataclasses.replace(asked, state=SILENT, reason=f"{_sentence(error)} {_step(backend, error)}")
    told.sort(key=lambda process: (process.host, process.pid))
    return dataclasses.replace(
        asked, milliseconds=milliseconds, publishes=publisher.is_able, processes=told, server=server
    )


def _measured(region: Region, backend: Backend) -> float:
    name = region._operations().name("fieldstone_regions")
    backend.get(name)  # connects
    began = time.perf_counter()
    backend.get(name)
    return (time.perf_counter() - began) * 1000


def _step(backend: Backend, error: Exception) -> str:
    if isinstance(error, backend.unavailable):
        return "Start the server, or correct its address in REGIONS."
    if isinstance(error, DatabaseError):
        return "Run manage.py migrate if it is a table that is missing."
    return "Correct the region's options, or what the server allows it."


def _sentence(error: Exception) -> str:
    said = " ".join(str(error).split())
    text = said if isinstance(error, FieldstoneError) else f"{type(error).__name__}: {said}"
    return text if text.endswith(".") else f"{text}."


def _figures(counts: Snapshot) -> dict[str, Any]:
    return {
        **dataclasses.asdict(counts),
        "hit_ratio": counts.hit_ratio,
        "median_seconds": _finite(counts.quantile(0.5)),
        "p99_seconds": _finite(counts.quantile(0.99)),
    }


def _finite(seconds: float | None) -> float | None:
    """JSON has no infinity."""
    return None if seconds is None or math.isinf(seconds) else seconds
