"""A save happens whole, or raises and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import Error, OperationalError, connections, transaction

from fieldstone.store import Grade, Place, Preferences, Store, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, B, C, all_fields_of, fields_of, replayed
from fieldstone.testing.statements import Statement, watch

EVERYWHERE: list[Place] = [A, B, Summary(A), Preferences("html"), UserInfo()]
OF_TRANSACTIONS = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")
BROKEN = "SELECT nothing FROM there_is_no_such_table"
ENDLESS = 100


class Fault:
    """Lets the statements of a connection fail from the ``number``-th on, counted from 1; commits among them.

    From there on, since a store may try again by itself.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self.met: Statement | None = None
        """The first that failed."""

    def __call__(self, run: Callable[[], Any], statement: Statement) -> Any:
        if statement.sql.lstrip().upper().startswith(OF_TRANSACTIONS) or statement.sql == BROKEN:
            return run()
        self._left -= 1
        if self._left > 0:
            return run()
        self.met = self.met or statement
        if statement.ends_transaction:
            raise OperationalError("the server was gone before the commit")
        with statement.connection.cursor() as cursor:  # an error of the server's own: it breaks a transaction
            return cursor.execute(BROKEN)


def met_by(save: Callable[[], Any], using: str) -> Iterator[int]:
    """The numbers of the statements of a save, after each has failed and the save has raised; then it is saved."""
    __tracebackhide__ = True
    for number in range(1, ENDLESS):
        fault = Fault(number)
        forget = watch(connections[using], fault)
        try:
            save()
        except Error:
            if fault.met is None:
                raise
        else:
            if fault.met is None:
                return
            pytest.fail(f"The save raised nothing, and its statement {number} had failed:\n\n    {fault.met.sql}")
        finally:
            forget()
        yield number
    pytest.fail(f"a save takes more than {ENDLESS} statements")


class WholenessContract(OnStores):
    @pytest.mark.parametrize("tried", ["first", "later"])
    def test_a_save_that_fails_at_any_of_its_statements_leaves_nothing(
        self, store: Store, learner: int, tried: str
    ) -> None:
        """The database refuses each statement in turn: nothing of five places is there, and a retry works."""
        before: dict[Place, dict[str, Any]] = {}
        if tried == "later":
            before = {place: {"x": 0} for place in EVERYWHERE}
            store.save(learner, before, grades={A: Grade(0, 1)})
        count = len(store.history(learner, A))

        def save() -> None:
            grades = {A: Grade(1, 1), B: Grade(1, 2)}
            store.save(learner, {place: {"x": 1, "new": 1} for place in EVERYWHERE}, grades=grades)

        for number in met_by(save, store.using):
            forget_all()
            assert all_fields_of(store, learner, EVERYWHERE) == before, f"statement {number} failed"
            assert len(store.history(learner, A)) == len(store.history(learner, B)) == count
        after = {place: {"x": 1, "new": 1} for place in EVERYWHERE}
        assert all_fields_of(store, learner, EVERYWHERE) == after
        assert len(store.history(learner, A)) == len(store.history(learner, B)) == count + 1

    def test_a_failed_save_does_not_break_the_callers_transaction(self, store: Store, learner: int) -> None:
        """Where it is part of one that saves a state, whatever else it saves."""

        def save() -> None:
            store.save(learner, {A: {"x": 1}, UserInfo(): {"u": 1}})

        with transaction.atomic(store.using):
            store.save(learner, {B: {"n": 0}})
            for number in met_by(save, store.using):
                assert all_fields_of(store, learner, [A, UserInfo()]) == {}
                store.save(learner, {B: {"n": number}})
        assert fields_of(store, learner, A) == {"x": 1}
        assert len(store.history(learner, B)) == 1 + (fields_of(store, learner, B) or {})["n"]

    def test_a_failed_save_of_states_alone_does_not_break_the_callers_transaction(
        self, store: Store, learner: int
    ) -> None:
        """A save that is one statement has a savepoint too, where there is a transaction to protect."""
        store.save(learner, {A: {"x": 1}})
        with transaction.atomic(store.using):
            for number in met_by(lambda: store.save(learner, {A: {"x": 2}}), store.using):
                assert fields_of(store, learner, A) == {"x": 1}, f"statement {number} failed"
            store.save(learner, {A: {"y": 1}})
        assert fields_of(store, learner, A) == replayed(store, learner, A) == {"x": 2, "y": 1}

    def test_the_rolled_back_save_leaves_neither_state_nor_history(self, store: Store, learner: int) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic(store.using):
            store.save(learner, {place: {"x": 1} for place in EVERYWHERE})
            raise ZeroDivisionError
        assert all_fields_of(store, learner, EVERYWHERE) == {}
        assert store.history(learner, A) == []

    def test_a_save_in_a_transaction_is_seen_in_it(self, store: Store, learner: int) -> None:
        with transaction.atomic(store.using):
            store.save(learner, {A: {"x": 1}})
            store.save(learner, {A: {"y": 1}})
            assert fields_of(store, learner, A) == replayed(store, learner, A) == {"x": 1, "y": 1}
        assert fields_of(store, learner, A) == {"x": 1, "y": 1}

    @pytest.mark.parametrize("rolled_back", ["transaction", "savepoint"])
    def test_a_block_that_was_first_met_in_what_was_rolled_back_is_the_same_block(
        self, store: Store, learner: int, rolled_back: str
    ) -> None:
        """Another block may get what it was known by: then answers would show at the wrong block."""
        with transaction.atomic(store.using):
            with pytest.raises(ZeroDivisionError), transaction.atomic(store.using):
                store.save(learner, {A: {"x": 1}})
                assert fields_of(store, learner, A) == {"x": 1}
                raise ZeroDivisionError
            if rolled_back == "transaction":
                transaction.set_rollback(True, using=store.using)
            else:
                store.save(learner, {C: {"x": 3}})
        store.save(learner, {C: {"x": 3}})
        store.save(learner, {A: {"x": 2}})
        for _ in ("this process", "another process"):
            assert all_fields_of(store, learner, [A, C]) == {A: {"x": 2}, C: {"x": 3}}
            assert [row.key for row in store.scan(usage_key=A)] == [str(A)]
            forget_all()
