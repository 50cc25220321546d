"""Locks on every backend of ours, under the suite that is shipped for others'."""

from __future__ import annotations

import pytest

from fieldstone.kvs import Region
from fieldstone.testing.contracts.locks import LockContract
from tests.kvs.backends import WITH_LOCKS, OnKind, params
from tests.kvs.contract.forgetting import forget_locks


class TestLocks(OnKind, LockContract):
    """On each backend that has locks of its own."""

    @pytest.fixture(params=params(WITH_LOCKS))
    def kind(self, request):
        return request.param

    def forget_locks(self, region: Region) -> None:
        forget_locks(self.on, region)
