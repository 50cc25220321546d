"""What the suites of locks have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions
from fieldstone.testing.contracts.locks.checks import Locks


class OnLocks(OnRegions):
    """A class of tests of a backend's locks."""

    def forget_locks(self, region: Region) -> None:
        """Make the server forget the locks of the region, as a restart, a flush or an eviction does.

        Override it, and what happens then is tested, too: it ought to remove one at least. It may be called from
        another thread than the one that holds a lock.
        """
        raise NotImplementedError

    @pytest.fixture
    def locks(self, region: Region) -> Locks:
        """Makes locks of the region, by their keys."""
        return Locks(region.lock, self.brief, self.patience)

    @pytest.fixture
    def forget_all(self, region: Region) -> Callable[[], None]:
        """Makes the server forget all locks of the region."""
        if not region.abilities.fencing:
            pytest.skip("its locks know no owners")
        if type(self).forget_locks is OnLocks.forget_locks:
            pytest.skip("the class says no way to make the server forget: forget_locks(self, region)")
        return lambda: self.forget_locks(region)
