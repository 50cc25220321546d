"""The calls for coroutines do what the calls without the ``a`` do."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import async_to_sync

from fieldstone.errors import ConflictError, InvalidPlaceError
from fieldstone.store import DELETED, Place, Store, Summary, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import COURSE, A, B, dicts_of
from fieldstone.testing.contracts.stores.scanning import Row

CALLS = ["read", "save", "history", "states", "at", "restore", "scan", "scan_fields", "scan_summaries"]


async def gathered(rows: AsyncIterator[Row]) -> list[Row]:
    return [row async for row in rows]


class CoroutinesContract(OnStores):
    @pytest.mark.parametrize("name", CALLS)
    def test_the_arguments_are_those_of_the_call_without_the_a(self, store: Store, name: str) -> None:
        call, asynchronous = getattr(store, name), getattr(store, f"a{name}")
        of_call, of_asynchronous = (
            [(argument.name, argument.kind, argument.default) for argument in signature.parameters.values()]
            for signature in map(inspect.signature, (call, asynchronous))
        )
        assert of_asynchronous == of_call

    def test_they_give_what_the_calls_without_the_a_give(self, store: Store, learner: int) -> None:
        places: list[Place] = [A, B, Summary(A), UserInfo()]

        async def life() -> None:
            await store.asave(learner, {A: {"x": 1}, Summary(A): {"s": 1}, UserInfo(): {"u": 1}}, origin="first")
            receipt = await store.asave(learner, {A: {"y": [None]}}, expected={A: 1}, actor=learner)
            assert dict(receipt.states[A].fields) == {"x": 1, "y": [None]}
            await store.arestore(learner, A, revision=1)
            states = await store.aread(learner, places)
            assert {place: dict(state.fields) for place, state in states.items()} == {
                A: {"x": 1},
                Summary(A): {"s": 1},
                UserInfo(): {"u": 1},
            }
            history = await store.ahistory(learner, A)
            assert [revision.changes for revision in history] == [{"y": DELETED}, {"y": [None]}, {"x": 1}]
            assert [revision.origin for revision in history] == ["restore", "", "first"]
            assert dicts_of(await store.astates(learner, A)) == [{"x": 1}, {"x": 1, "y": [None]}, {"x": 1}]
            assert dict((await store.aat(learner, A, revision=2)).fields) == {"x": 1, "y": [None]}

        async_to_sync(life)()

    def test_they_raise_what_the_calls_without_the_a_raise(self, store: Store, learner: int) -> None:
        async def life() -> None:
            await store.asave(learner, {A: {"x": 1}})
            with pytest.raises(ConflictError):
                await store.asave(learner, {A: {"x": 2}}, expected={A: 0})
            with pytest.raises(InvalidPlaceError):
                await store.asave(learner, {A: {"x": 2}}, expected={B: 0})
            assert dict((await store.aread(learner, [A]))[A].fields) == {"x": 1}

        async_to_sync(life)()

    @pytest.mark.parametrize("batch", [1, 2, 3, 1000])
    def test_their_scans_give_the_same_rows(self, store: Store, batch: int) -> None:
        for number in range(3):
            places = (A, B, UserInfo(), Summary(A), Summary(B))
            store.save(self.make_learner(store), {place: {"x": number} for place in places})

        async def life() -> list[list[dict[str, object]]]:
            rows = await gathered(store.ascan(context=COURSE, batch=batch))
            of_learners = await gathered(store.ascan_fields(UserInfo(), batch=batch))
            of_blocks = await gathered(store.ascan_summaries(COURSE, batch=batch))
            return [dicts_of(row.state for row in each) for each in (rows, of_learners, of_blocks)]

        by_learner = [{"x": number} for number in range(3)]
        assert async_to_sync(life)() == [by_learner * 2, by_learner, [{"x": 2}] * 2]
