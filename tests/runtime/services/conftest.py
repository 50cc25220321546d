from __future__ import annotations

import importlib.metadata

import pytest
from xblock import plugin
from xblock.core import XBlock

from fieldstone.runtime.block_types import block_class
from tests.runtime.services.blocks import PUBLISHED


@pytest.fixture
def asking_blocks(monkeypatch):
    """The blocks of ``tests.runtime.services.blocks``, published as a package's are."""
    points = [
        importlib.metadata.EntryPoint(name, f"{cls.__module__}:{cls.__name__}", XBlock.entry_point)
        for name, cls in PUBLISHED.items()
    ]
    monkeypatch.setattr(XBlock, "extra_entry_points", [(point.name, point) for point in points])
    yield
    for point in points:
        plugin.PLUGIN_CACHE.pop((XBlock.entry_point, point.name), None)
    block_class.cache_clear()
