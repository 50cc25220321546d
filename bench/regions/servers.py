"""The servers of regions, beside the databases, and which of them are there."""

from __future__ import annotations

import os
from importlib import import_module
from typing import cast

from bench.databases import NoServerError
from bench.regions.base import Server

SERVERS = {"redis": "Redis", "memcached": "memcached", "memory": "this process"}

URLS = {"redis": "FIELDSTONE_REDIS_URL", "memcached": "FIELDSTONE_MEMCACHED_URL"}
"""The variables that hold their addresses."""


def available() -> list[str]:
    """Those that can be measured here: this process always, the others when their address is given."""
    return [name for name in SERVERS if name not in URLS or os.environ.get(URLS[name])]


def connected(name: str) -> Server:
    """Raises ``NoServerError``."""
    module = import_module(f"bench.regions.{name}")  # only here: the clients of the others may be missing
    if name not in URLS:
        return cast(Server, module.server())
    address = os.environ.get(URLS[name])
    if not address:
        raise NoServerError(f"{SERVERS[name]}: {URLS[name]} is not set. `make bench` starts a server and sets it.")
    return cast(Server, module.server(address))
