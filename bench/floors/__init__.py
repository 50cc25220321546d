"""The floor on each engine: what a sensible person writes with the bare driver, for the same work."""

from bench.floors.base import Fields, Floor, Saving, encode
from bench.floors.postgresql import PostgreSQLFloor
from bench.floors.sqlite import SQLiteFloor

__all__ = ["Fields", "Floor", "PostgreSQLFloor", "SQLiteFloor", "Saving", "encode"]
