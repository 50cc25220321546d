"""The connection is cut between a statement and its answer: the caller knows nothing, and tries again."""

from __future__ import annotations

import contextlib

import pytest
from django.db import Error, connections, transaction

from fieldstone.store.usages import forget_all
from tests.conftest import each_server
from tests.engines.writer import block
from tests.faults import marked
from tests.faults.proxy import Fate, proxied


@pytest.fixture
def proxy(alias, store):
    with proxied(alias) as proxy:
        yield proxy


def save(store, learner, whole):
    """On a new connection, with keys that were never met: everything that a save may have to do."""
    connections[store.using].close()
    forget_all()
    with transaction.atomic(store.using) if whole else contextlib.nullcontext():
        marked.save_marker(store, learner, f"of {learner}", new=[block(f"new{learner}")])


@each_server
@pytest.mark.parametrize("whole", [False, True], ids=["alone", "in the caller's transaction"])
@pytest.mark.parametrize("answered", [False, True], ids=["before the server hears", "before its answer comes"])
def test_a_save_cut_at_any_turn_raises_and_is_written_once_when_tried_again(
    store, learner, proxy, whole, answered
):
    save(store, learner, whole)
    proxy.fate = uncut = Fate()
    save(store, learner + 1, whole)
    assert uncut.turns > 8, "the login, the keys and four scopes are more turns than that"
    for turn in range(uncut.turns):
        other = learner + 2 + turn
        proxy.fate = Fate(turn, answered)
        with pytest.raises(Error):
            save(store, other, whole)
        proxy.fate = Fate()
        save(store, other, whole)
        forget_all()
        written = marked.check(store, other, [f"of {other}"])
        assert written == marked.markers_of(store, other, block(f"new{other}")) == [f"of {other}"]
