"""Where regions keep their entries: a module a kind of server."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from fieldstone import conf
from fieldstone.kvs.backends.base import Backend

BACKENDS = {
    "memory": "fieldstone.kvs.backends.memory.MemoryBackend",
    "redis": "fieldstone.kvs.backends.redis.RedisBackend",
    "memcached": "fieldstone.kvs.backends.memcached.MemcachedBackend",
    "database": "fieldstone.kvs.backends.database.DatabaseBackend",
    "openstack.kvs.Memory": "fieldstone.kvs.backends.memory.MemoryBackend",
    "openstack.kvs.Memcached": "fieldstone.kvs.backends.memcached.MemcachedBackend",
}
"""Names of backends to their classes; ``REGION_BACKENDS`` of the settings adds others."""

_EXTRAS = {"redis": "redis", "pymemcache": "memcached", "dogpile": "dogpile"}


def backend_class(backing_store: str | type[Backend]) -> type[Backend]:
    """The class of a backend by its name, its dotted path, or dogpile.cache's name for it.

    Raises ``ValueError`` for none of these, ``ImportError`` for one whose package is not installed.
    """
    if inspect.isclass(backing_store) and issubclass(backing_store, Backend):
        return backing_store
    if not isinstance(backing_store, str):
        raise ValueError(f"{backing_store!r} is no backend: give its name, its dotted path or its class")
    path = {**BACKENDS, **conf.region_backends()}.get(backing_store, backing_store)
    found = _imported(path)
    if inspect.isclass(found) and issubclass(found, Backend):
        return found
    if found is not None:
        raise ValueError(f"{path} is no subclass of fieldstone.kvs.backends.base.Backend")
    return _of_dogpile(backing_store)


def _imported(path: str) -> Any:
    """What a dotted path leads to, or ``None``. Raises ``ImportError`` for what fails at being imported."""
    module_name, _, name = path.rpartition(".")
    if not module_name:
        return None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _EXTRAS and missing != path.partition(".")[0]:
            raise ImportError(
                f"{missing} is not installed: pip install 'fieldstone[{_EXTRAS[missing]}]'"
            ) from error
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        return None
    return getattr(module, name, None)


def _of_dogpile(name: str) -> type[Backend]:
    message = f"there is no backend {name!r}. Known: {', '.join(BACKENDS)}; dotted paths; names of dogpile.cache"
    try:
        from fieldstone.kvs.bridge import backend_named  # needs dogpile.cache
    except ModuleNotFoundError as error:
        raise ValueError(f"{message}, with pip install 'fieldstone[dogpile]'") from error
    found = backend_named(name)
    if found is None:
        raise ValueError(message)
    return found
