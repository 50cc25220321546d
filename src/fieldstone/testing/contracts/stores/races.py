"""Several threads on the same rows, each with a connection of its own: no acknowledged field is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from fieldstone.errors import ConflictError
from fieldstone.store import Place, Preferences, Store, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, fields_of, replayed, usage
from fieldstone.testing.contracts.workers import in_threads

WRITERS, ROUNDS = 4, 25

T = TypeVar("T")


def at_once(count: int, work: Callable[[int, Callable[[], Any]], T]) -> list[T]:
    """What ``work(number, meet)`` gives in each of so many threads; ``meet()`` waits until all have called it.

    What one raises is raised, and lets the others wait no longer.
    """
    barrier = threading.Barrier(count)

    def met(number: int) -> T | None:
        try:
            return work(number, barrier.wait)
        except threading.BrokenBarrierError:
            return None  # another has raised, which is what in_threads tells of
        except BaseException:
            barrier.abort()
            raise

    return cast(list[T], in_threads(count, met))


class RacesContract(OnStores):
    def test_writers_of_different_fields_never_lose_each_others_work(self, racing: Store, learner: int) -> None:
        """They race to make the row and to add fields to it; each field is there, and no revision is missing."""

        def save_fields(number: int) -> None:
            store = self.make_store()
            for n in range(ROUNDS):
                store.save(learner, {A: {f"w{number}_{n}": n}})

        in_threads(WRITERS, save_fields)
        expected = {f"w{number}_{n}": n for number in range(WRITERS) for n in range(ROUNDS)}
        assert fields_of(racing, learner, A) == expected
        assert replayed(racing, learner, A) == expected
        revisions = [revision.number for revision in racing.history(learner, A)]
        assert revisions == list(range(WRITERS * ROUNDS, 0, -1)), "revisions have gaps"

    def test_rows_and_keys_that_all_make_at_once_are_made_once(self, racing: Store, learner: int) -> None:
        forget_all()
        blocks = [usage(f"{n}") for n in range(ROUNDS)]

        def make_rows(number: int, meet: Callable[[], Any]) -> None:
            store = self.make_store()
            for block in blocks:
                meet()
                store.save(learner, {block: {f"w{number}": number}})

        at_once(WRITERS, make_rows)
        states = racing.read(learner, blocks)
        expected = {f"w{number}": number for number in range(WRITERS)}
        assert [dict(states[block].fields) for block in blocks] == [expected] * ROUNDS
        assert {state.revision for state in states.values()} == {WRITERS}

    def test_of_two_tries_at_once_one_is_written_and_both_get_a_receipt(self, racing: Store, learner: int) -> None:
        tokens: list[UUID] = [uuid4() for _ in range(ROUNDS)]

        def try_tokens(_: int, meet: Callable[[], Any]) -> list[tuple[bool, int | None]]:
            store = self.make_store()
            told: list[tuple[bool, int | None]] = []
            for n, token in enumerate(tokens):
                meet()
                receipt = store.save(learner, {A: {"x": n}}, token=token)
                told.append((receipt.repeated, receipt.states[A].revision))
            return told

        tries = at_once(2, try_tokens)
        for revision, receipts in enumerate(zip(*tries, strict=True), 1):
            assert sorted(receipts) == [(False, revision), (True, revision)]
        assert len(racing.history(learner, A)) == ROUNDS

    def test_of_saves_on_the_same_revision_one_goes_through(self, racing: Store, learner: int) -> None:
        """The others learn which revision is there now."""

        def expect_revisions(number: int, meet: Callable[[], Any]) -> list[int | None]:
            store = self.make_store()
            told: list[int | None] = []
            for n in range(ROUNDS):
                meet()
                try:
                    store.save(learner, {A: {"winner": number}}, expected={A: n})
                    told.append(None)
                except ConflictError as conflict:
                    told.append(conflict.current)
            return told

        told = at_once(WRITERS, expect_revisions)
        winners = []
        for revision, outcomes in enumerate(zip(*told, strict=True)):
            assert sorted(outcomes, key=lambda current: current or 0) == [None] + [revision + 1] * (WRITERS - 1)
            winners.append(outcomes.index(None))
        written = [revision.changes["winner"] for revision in racing.history(learner, A)]
        assert written == winners[::-1]

    def test_saves_of_every_scope_in_any_order_do_not_deadlock(self, racing: Store, learner: int) -> None:
        blocks = [usage(f"b{n}") for n in range(20)]
        places: list[Place] = [*blocks, *map(Summary, blocks), Preferences("a"), Preferences("b"), UserInfo()]

        def save_everything(number: int) -> None:
            store = self.make_store()
            for n in range(ROUNDS):
                ordered = places if (number + n) % 2 else places[::-1]
                store.save(learner, {place: {"x": n, f"w{number}": n} for place in ordered})

        in_threads(WRITERS, save_everything)
        states = racing.read(learner, places)
        assert len(states) == len(places)
        for state in states.values():
            assert {f"w{number}": ROUNDS - 1 for number in range(WRITERS)}.items() <= dict(state.fields).items()
