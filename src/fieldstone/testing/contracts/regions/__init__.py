"""``RegionContract``: what a backend has to do so that a region of it keeps its promises."""

from fieldstone.testing.contracts.regions.atomic_calls import AtomicCalls
from fieldstone.testing.contracts.regions.coroutines import Coroutines
from fieldstone.testing.contracts.regions.creation import Creation
from fieldstone.testing.contracts.regions.namespaces import Namespaces
from fieldstone.testing.contracts.regions.refusals import Refusals
from fieldstone.testing.contracts.regions.sharing import Sharing
from fieldstone.testing.contracts.regions.stateful import Stateful
from fieldstone.testing.contracts.regions.values import Values

__all__ = ["RegionContract"]


class RegionContract(Values, AtomicCalls, Creation, Namespaces, Refusals, Coroutines, Sharing, Stateful):
    """All that a region does, on the backend that a subclass says: ``backend``, ``options``, or ``make_region``.

        class TestEtcd(RegionContract):
            backend, options = "myproject.kvs.EtcdBackend", {"url": "http://localhost:2379"}

    What the backend's ``abilities`` say that it can do has to work, and what it cannot do has to be refused.
    ``brief`` is how long an entry can live at least, in seconds; ``contracts.base.OnRegions`` has the rest.
    """
