"""The metrics of regions, as the SDK of OpenTelemetry collects them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fieldstone.kvs import regions
from fieldstone.kvs.statistics import BOUNDS
from fieldstone.kvs.telemetry import BUCKETS, COUNTERS, instrument

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

OURS = {"fieldstone.region.name": "measured", "fieldstone.region.backend": "memory"}


@pytest.fixture
def region():
    yield regions["measured"].configure("memory")
    regions.forget("measured")


def collected(reader):
    """Names to the points of our region: attributes beyond its own, and the value."""
    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "fieldstone.kvs"
    return {
        metric.name: [
            ({**point.attributes}.get("le"), point.value)
            for point in metric.data.data_points
            if OURS.items() <= dict(point.attributes).items()
        ]
        for metric in scope.metrics
    }


def test_the_counts_of_a_region_are_metrics(region):
    reader = InMemoryMetricReader()
    assert instrument(MeterProvider(metric_readers=[reader]))
    region.set("a", 1)
    region.get("a")
    region.get("b", None)
    region.get("c", None)
    region.delete("a")
    metrics = collected(reader)
    assert metrics.keys() == {*COUNTERS, BUCKETS}
    counts = region.statistics.snapshot()
    assert {name: points[0][1] for name, points in metrics.items() if name != BUCKETS} == {
        "fieldstone.region.hits": 1,
        "fieldstone.region.misses": 2,
        "fieldstone.region.writes": 1,
        "fieldstone.region.deletes": 1,
        "fieldstone.region.errors": 0,
        "fieldstone.region.refused": 0,
        "fieldstone.region.read": counts.bytes_read,
        "fieldstone.region.written": counts.bytes_written,
        "fieldstone.region.operations": 5,
        "fieldstone.region.operation.time": counts.seconds,
    }
    assert counts.bytes_read > 0
    assert counts.seconds > 0


def test_buckets_are_cumulative_and_end_with_all_calls(region):
    reader = InMemoryMetricReader()
    instrument(MeterProvider(metric_readers=[reader]))
    for seconds in (0.00005, 0.0002, 0.003, 7.0):
        region.statistics.called(seconds)
    buckets = dict(collected(reader)[BUCKETS])
    assert list(buckets) == [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    assert (buckets["0.0001"], buckets["0.00025"], buckets["0.005"], buckets["1"], buckets["+Inf"]) == (
        1,
        2,
        3,
        3,
        4,
    )


def test_a_region_that_nobody_used_is_not_configured_for_the_sake_of_metrics(settings):
    settings.FIELDSTONE = {"REGIONS": {"idle": {"BACKEND": "memory"}, "no name!": {}}}
    reader = InMemoryMetricReader()
    instrument(MeterProvider(metric_readers=[reader]))
    regions["busy"].configure("memory").set("a", 1)
    try:
        reader.get_metrics_data()
        assert not regions["idle"].is_configured
    finally:
        regions.forget("busy")
        regions.forget("idle")


SITE = """
import sys
{before}
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["fieldstone.kvs"], FIELDSTONE={{"REGIONS": {{"a": {{}}}}}}, DATABASES={{}})
django.setup()
from fieldstone.kvs import regions
regions["a"].set("key", 1)
{after}
"""


def printed(before="", after=""):
    command = [sys.executable, "-c", SITE.format(before=before, after=after)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_provider_that_the_site_sets_after_the_start_measures_regions():
    after = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
    print(*(f"{m.name}={m.data.data_points[0].value}" for m in scope.metrics if m.name.endswith("writes")))
"""
    assert printed(after=after) == "fieldstone.region.writes=1"


def test_without_opentelemetry_regions_work_and_nothing_of_it_is_imported():
    after = 'print(regions["a"].get("key"), [name for name in sys.modules if name.startswith("opentelemetry.")])'
    assert printed(before='sys.modules["opentelemetry"] = None', after=after) == "1 []"


def test_importing_regions_does_not_import_opentelemetry():
    code = "import sys, fieldstone.kvs, fieldstone.kvs.telemetry; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
