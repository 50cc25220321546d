"""``LockContract``: what a backend's locks have to do."""

from fieldstone.testing.contracts.locks.coroutines import HeldByCoroutines
from fieldstone.testing.contracts.locks.holding import Holding
from fieldstone.testing.contracts.locks.losing import Losing
from fieldstone.testing.contracts.locks.processes import HeldByProcesses

__all__ = ["LockContract"]


class LockContract(Holding, Losing, HeldByCoroutines, HeldByProcesses):
    """The locks of regions, on the backend that a subclass says as for ``RegionContract``.

        class TestEtcd(RegionContract, LockContract):
            backend, options = "myproject.kvs.EtcdBackend", {"url": "http://localhost:2379"}

    ``brief`` is how long a lock can be held at least, in seconds: those that holders outlive are as brief. With a
    method ``forget_locks(self, region)`` it is also tested what happens when the server has lost its locks.
    """
