"""Named regions: values by key, for a while, with locks."""

from fieldstone.errors import LockTimeout, NotFound, ServiceUnavailable, StaleFenceError, UnexpectedError
from fieldstone.kvs.locks import Fence, KeyValueStoreLock
from fieldstone.kvs.region import Namespace, Region, Versioned
from fieldstone.kvs.regions import get_key_value_store, regions

KeyValueStore = Region

__all__ = [
    "Fence",
    "KeyValueStore",
    "KeyValueStoreLock",
    "LockTimeout",
    "Namespace",
    "NotFound",
    "Region",
    "ServiceUnavailable",
    "StaleFenceError",
    "UnexpectedError",
    "Versioned",
    "get_key_value_store",
    "regions",
]
