"""Regions on Redis: one server, Sentinel, or a Cluster."""

from fieldstone.kvs.backends.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
