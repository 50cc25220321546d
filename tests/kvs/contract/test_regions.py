"""Regions on every backend of ours, under the suite that is shipped for others'."""

from __future__ import annotations

from fieldstone.testing.contracts.regions import RegionContract
from tests.kvs.backends import OnKind


class TestRegions(OnKind, RegionContract):
    """On each of ``KINDS``."""
