"""memcached: entries that may go at any time, and locks as good as such a server's can be."""

from fieldstone.kvs.backends.memcached.backend import MemcachedBackend
from fieldstone.kvs.backends.memcached.drivers import DRIVERS, Driver

__all__ = ["DRIVERS", "Driver", "MemcachedBackend"]
