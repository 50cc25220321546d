"""Regions and locks beside the raw clients of their servers, and beside what others offer."""

from bench.regions.base import Server
from bench.regions.run import NAMES, Measured, measure, names_on, on_database
from bench.regions.servers import SERVERS, URLS, available, connected

__all__ = [
    "NAMES",
    "SERVERS",
    "URLS",
    "Measured",
    "Server",
    "available",
    "connected",
    "measure",
    "names_on",
    "on_database",
]
