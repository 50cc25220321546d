"""A proxy of dogpile.cache that the suites put before a backend."""

from __future__ import annotations

from dogpile.cache.proxy import ProxyBackend


class Passing(ProxyBackend):
    """Hands everything on, as every proxy does with what it does not change."""
