"""What regions do, as metrics of OpenTelemetry, where a site has that.

All instruments are observable: they read the counts that regions keep anyway, when a reader asks, and operations
cost what they cost without. OpenTelemetry has no observable histogram, and recording into one takes longer than a
``get`` from memory does; so latencies are three counters: of calls, of seconds, and of calls by bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.regions import regions
from fieldstone.kvs.statistics import BOUNDS, Snapshot

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

REGION = "fieldstone.region.name"
BACKEND = "fieldstone.region.backend"
BOUND = "le"

COUNTERS: dict[str, tuple[str, str, Callable[[Snapshot], float]]] = {
    "fieldstone.region.hits": ("{key}", "Keys that had a value.", lambda counts: counts.hits),
    "fieldstone.region.misses": ("{key}", "Keys that had none.", lambda counts: counts.misses),
    "fieldstone.region.writes": ("{entry}", "Entries sent.", lambda counts: counts.writes),
    "fieldstone.region.deletes": ("{key}", "Keys asked to be deleted.", lambda counts: counts.deletes),
    "fieldstone.region.errors": ("{call}", "Calls that the backend failed.", lambda counts: counts.errors),
    "fieldstone.region.refused": ("{call}", "Calls not made: circuit open.", lambda counts: counts.refused),
    "fieldstone.region.read": ("By", "Entries read, encoded.", lambda counts: counts.bytes_read),
    "fieldstone.region.written": ("By", "Entries written, encoded.", lambda counts: counts.bytes_written),
    "fieldstone.region.operations": ("{call}", "Calls that the backend answered.", lambda counts: counts.calls),
    "fieldstone.region.operation.time": ("s", "How long these took in all.", lambda counts: counts.seconds),
}
"""Names to their unit, what they count, and where that is found."""

BUCKETS = "fieldstone.region.operation.time.bucket"
"""How many calls took at most ``le`` seconds: cumulative, as Prometheus has them, the last ``+Inf``."""


def instrument(provider: MeterProvider | None = None) -> bool:
    """Have the regions of this process measured, once; whether OpenTelemetry is installed.

    Without a provider by the one that the site has set, or sets later. Regions that code made for itself, not by
    name, are left out.
    """
    try:
        from opentelemetry import metrics  # optional, and not imported until it is asked for
    except ImportError:
        return False
    meter = metrics.get_meter("fieldstone.kvs", meter_provider=provider)

    def observing(found: Callable[[Snapshot], float]) -> Callable[[Any], Iterator[Any]]:
        def observe(options: Any) -> Iterator[Any]:
            for attributes, counts in _counted():
                yield metrics.Observation(found(counts), attributes)

        return observe

    def buckets(options: Any) -> Iterator[Any]:
        for attributes, counts in _counted():
            for bound, count in _cumulative(counts):
                yield metrics.Observation(count, {**attributes, BOUND: bound})

    for name, (unit, description, found) in COUNTERS.items():
        meter.create_observable_counter(name, [observing(found)], unit, description)
    meter.create_observable_counter(BUCKETS, [buckets], "{call}", "Calls that took at most so many seconds.")
    return True


def _counted() -> Iterator[tuple[dict[str, str], Snapshot]]:
    """The regions that are in use; the others are not configured for this."""
    for name in regions:
        try:
            region = regions[name]
        except RegionConfigurationError:  # no name for a region: the system checks say so, and the others count on
            continue
        if region.is_configured:
            yield {REGION: name, BACKEND: region.backend.kind}, region.statistics.snapshot()


def _cumulative(counts: Snapshot) -> Iterator[tuple[str, int]]:
    seen = 0
    for bound, count in zip((*(f"{bound:g}" for bound in BOUNDS), "+Inf"), counts.buckets, strict=True):
        seen += count
        yield bound, seen
