"""Whatever is done to a region: it is as a dict would be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fieldstone.errors import InvalidEntryError, NotFound
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions

KEYS = st.sampled_from(["a", "b", "c", "a:b"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES | st.just(UTC))
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False)
    | TEXT | st.binary(max_size=8) | MOMENTS
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(), inner, max_size=3),
    max_leaves=6,
)


class AsADict(RuleBasedStateMachine):
    region: Region

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, object] = {}
        self.region.delete_multi(["a", "b", "c", "a:b"])

    @rule(key=KEYS, value=VALUES)
    def set(self, key: str, value: Any) -> None:
        self.region.set(key, value)
        self.model[key] = value

    @rule(values=st.dictionaries(KEYS, VALUES))
    def set_multi(self, values: Any) -> None:
        self.region.set_multi(values)
        self.model.update(values)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        if key in self.model:
            self.region.delete(key)
            del self.model[key]
        else:
            with pytest.raises(NotFound):
                self.region.delete(key)

    @rule(keys=st.sets(KEYS))
    def delete_multi(self, keys: Any) -> None:
        self.region.delete_multi(keys)
        for key in keys:
            self.model.pop(key, None)

    @rule(key=KEYS, value=VALUES)
    def add(self, key: str, value: Any) -> None:
        if self.region.abilities.add:
            assert self.region.add(key, value) is (key not in self.model)
            self.model.setdefault(key, value)

    @rule(key=KEYS, by=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-3, 3))
    def incr(self, key: str, by: Any) -> None:
        if not self.region.abilities.incr:
            return
        number = self.model.get(key, 0)
        is_counted = type(number) is int and -(2**63) <= number < 2**63 and -(2**63) <= number + by < 2**63
        if is_counted:
            self.model[key] = number + by
            assert self.region.incr(key, by) == number + by
        else:
            with pytest.raises(InvalidEntryError):
                self.region.incr(key, by)

    @rule(key=KEYS, value=VALUES)
    def compare_and_set(self, key: str, value: Any) -> None:
        if self.region.abilities.compare_and_set and key in self.model:
            read = self.region.get_with_version(key)
            assert read.value == self.model[key]
            assert self.region.compare_and_set(key, value, read.version)
            assert not self.region.compare_and_set(key, None, read.version)
            self.model[key] = value

    @rule(key=KEYS, value=VALUES)
    def get_or_create(self, key: str, value: Any) -> None:
        assert self.region.get_or_create(key, lambda: value) == self.model.setdefault(key, value)

    @invariant()
    def is_as_the_dict(self) -> None:
        keys = ["a", "b", "c", "a:b"]
        assert self.region.get_multi(keys, default=...) == [self.model.get(key, ...) for key in keys]
        assert self.region.get("a", ...) == self.model.get("a", ...)


class Stateful(OnRegions):
    """Whatever is done to a region: it is as a dict would be."""

    def test_a_region_does_as_a_dict_does(self, region: Region) -> None:
        machine = type("Machine", (AsADict,), {"region": region})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
