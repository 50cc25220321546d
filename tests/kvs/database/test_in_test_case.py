"""Regions in a ``TestCase``, which is one transaction from its beginning to its end."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.test import TestCase

from fieldstone.errors import UnexpectedError
from fieldstone.kvs.region import Region


class InTestCase(TestCase):
    def setUp(self) -> None:
        self.region = Region("in-a-test-case").configure("database")

    def test_values_are_there_until_the_tests_end(self) -> None:
        with pytest.raises(LookupError):
            self.region.get("key")
        self.region.set("key", [1], ttl=60)
        assert self.region.incr("n") == self.region.incr("n") - 1
        assert self.region.get("key") == [1]

    test_the_next_test_does_not_see_them = test_values_are_there_until_the_tests_end

    def test_a_lock_is_held_and_let_go_many_times(self) -> None:
        for _ in range(3):
            with self.region.lock("key") as lock:
                assert self.region.backend.locked(lock.mutex.name)
                with pytest.raises(UnexpectedError):
                    self.region.lock("key", blocking_timeout=0).acquire()
            assert not self.region.backend.locked(lock.mutex.name)

    def test_fences_grow(self) -> None:
        fences = []
        for _ in range(3):
            with transaction.atomic(), self.region.lock("key") as lock:
                fences.append(lock.fence)
        assert fences == sorted(set(fences))
