"""In a test's transaction the same callbacks run as in production, in the same order."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.transaction import atomic, on_commit
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.testing.transactions import commit_callbacks

STEPS = st.recursive(
    st.just("callback"),
    lambda inner: st.tuples(st.sampled_from(["block", "joined", "fails"]), st.lists(inner, max_size=3)),
    max_leaves=8,
)


def play(step, ran, number):
    """Blocks with a savepoint, without one, and such that end with an error; callbacks in all of them."""
    if step == "callback":
        mine = next(number)
        on_commit(lambda: ran.append(mine))
        return
    kind, inner = step
    try:
        with atomic(savepoint=kind != "joined"):
            for each in inner:
                play(each, ran, number)
            if kind == "fails":
                raise ValueError("on purpose")
    except ValueError:
        pass


@pytest.mark.django_db(transaction=True, available_apps=["tests.testing.blog"])
@given(st.lists(STEPS, max_size=4))
def test_the_same_run_in_the_same_order_as_in_real_transactions(steps):
    def played():
        ran = []
        number = iter(range(100))
        with commit_callbacks():
            for step in steps:
                play(step, ran, number)
        return ran

    real = played()
    held = atomic()
    held._from_testcase = True
    with held:
        assert played() == real
        transaction.set_rollback(True)
