"""Every call of a region or a namespace has a sibling for coroutines."""

from __future__ import annotations

import inspect

import pytest

from fieldstone.kvs import Namespace, Region

NOT_CALLS = {"configure", "lock", "get_lock", "namespace", "close"}


@pytest.mark.parametrize("face", [Region, Namespace])
def test_every_call_has_a_sibling_with_the_same_parameters(face):
    calls = {
        name: call
        for name, call in inspect.getmembers(face, inspect.isfunction)
        if not name.startswith("_") and name not in NOT_CALLS and not hasattr(face, name[1:])
    }
    assert {"get", "set_multi", "get_or_create"} <= calls.keys()
    for name, call in calls.items():
        sibling = getattr(face, f"a{name}")
        assert list(inspect.signature(sibling).parameters) == list(inspect.signature(call).parameters), name
