"""Between our backends and dogpile.cache, both ways. Needs dogpile.cache; ``fieldstone.kvs`` itself does not."""

from fieldstone.kvs.bridge.faces import BackendFace, register
from fieldstone.kvs.bridge.foreign import DogpileBackend, backend_named
from fieldstone.kvs.bridge.mutex import BackendMutex
from fieldstone.kvs.bridge.proxied import ProxiedBackend, load_proxies

__all__ = [
    "BackendFace",
    "BackendMutex",
    "DogpileBackend",
    "ProxiedBackend",
    "backend_named",
    "load_proxies",
    "register",
]
