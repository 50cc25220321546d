"""``cache``: what blocks computed and can compute again, in the region ``blocks``."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from fieldstone import conf
from fieldstone.errors import AlreadyConfiguredError
from fieldstone.kvs import regions
from fieldstone.kvs.django_cache import RegionCache

REGION = "blocks"
"""In each process's own memory, unless ``REGIONS`` of the settings says where it is."""

_MAX_BYTES = 16 * 2**20


@cache
def blocks_cache() -> RegionCache:
    """With the calls of Django's caches. Values are what the region's serializer takes; a tuple comes as a list.

    Kept for five minutes where a block does not say how long, as Django's caches do.
    """
    if REGION not in conf.regions():
        with suppress(AlreadyConfiguredError):  # by another thread, or by the site's own code
            regions[REGION].configure("memory", max_bytes=_MAX_BYTES)
    return RegionCache(REGION, {})
