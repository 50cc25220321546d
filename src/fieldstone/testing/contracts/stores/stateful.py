"""Any sequence of saves, tries, restores and transactions, against the model."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from fieldstone.errors import ConflictError, InvalidValueError, NoSuchRevisionError
from fieldstone.store import DELETED, NO_GRADE, Grade, Preferences, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.clock import Clock
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.compared import BLOCKS, Compared, Drawn, Try, blocks, learners
from fieldstone.testing.contracts.stores.drawn import field_names, json_values
from fieldstone.testing.contracts.stores.model import Changes, Grades, blocks_of

MANY = 50
"""Saves that take a history of Fieldstone's own past a snapshot."""

OTHERS: list[Any] = [*((Summary, n) for n in BLOCKS), Preferences("a"), Preferences("b"), UserInfo()]
places = blocks | st.sampled_from(OTHERS)
values = st.just(DELETED) | st.integers(0, 3) | json_values
names = st.sampled_from(["x", "y", "z"])
fields = st.dictionaries(names | field_names, values, max_size=3)
all_changes = st.dictionaries(places, fields, max_size=3)
grades = st.just(NO_GRADE) | st.builds(Grade, st.floats(0, 1), st.integers(1, 3))
all_grades = st.dictionaries(blocks, grades, max_size=2)
tokens = st.none() | st.uuids(version=4)
steps = st.integers(-2, 3).map(lambda days: timedelta(days=days))  # clocks of processes differ


class StoreMachine(Compared):
    # Saving

    @rule(who=learners, place=places, name=names, value=st.just(DELETED) | st.integers(0, 3), step=steps)
    def save_a_field(self, who: int, place: Any, name: str, value: Any, step: timedelta) -> None:
        self.step(step)
        self.saved(who, {place: {name: value}}, {}, None, ())

    @rule(who=learners, place=blocks, grade=grades)
    def save_a_grade(self, who: int, place: int, grade: Grade) -> None:
        self.saved(who, {}, {place: grade}, None, ())

    @rule(
        who=learners,
        changes=all_changes,
        grades=all_grades,
        token=tokens,
        expects=st.sets(st.sampled_from(BLOCKS)),
    )
    def save(self, who: int, changes: Drawn, grades: Drawn, token: UUID | None, expects: set[int]) -> None:
        self.saved(who, changes, grades, token, expects)

    # Hypothesis draws rules evenly, and there is little to look at unless most of them save.
    save_another_field, save_yet_another, save_more = save_a_field, save_a_field, save

    def saved(self, who: int, drawn: Drawn, of: Drawn, token: UUID | None, expects: Any) -> None:
        learner, changes, grades = self.learners[who], self.real(drawn), self.real(of)
        wanted = blocks_of(changes, grades)
        expected = {
            block: len(self.model.revisions(learner, block)) for block in map(self.key, expects) if block in wanted
        }
        receipt = self.store.save(learner, changes, grades=grades, expected=expected, token=token, origin="rule")
        self.apply(learner, changes, grades, token, "rule")
        assert not receipt.repeated
        assert set(receipt.states) == wanted
        for block in wanted:
            self.agree(receipt.states[block], learner, block)
        if token is not None and wanted:
            self.tries.append(Try(changes, grades, token))

    def apply(
        self, learner: int, changes: Changes, grades: Grades, token: UUID | None = None, origin: str = ""
    ) -> None:
        self.is_seen = False
        self.model.save(learner, changes, grades, self.now, token, origin)

    @precondition(lambda self: bool(self.tries))
    @rule(which=st.integers(0, 5), who=learners, step=steps)
    def try_again(self, which: int, who: int, step: timedelta) -> None:
        """Also of a save that was rolled back since, and by the other learner."""
        changes, grades, token = self.tries[-1 - which % len(self.tries)]
        learner = self.learners[who]
        self.step(step)
        repeated = self.model.is_written(learner, changes, grades, token)
        receipt = self.store.save(learner, changes, grades=grades, token=token)
        assert receipt.repeated == repeated
        if not repeated:
            self.apply(learner, changes, grades, token)
        for block in blocks_of(changes, grades):
            self.agree(receipt.states[block], learner, block)

    try_once_more = try_again

    @rule(who=learners, changes=all_changes, place=blocks, off=st.sampled_from([-1, 1, 2]))
    def save_on_another_revision(self, who: int, changes: Drawn, place: int, off: int) -> None:
        learner, block = self.learners[who], self.key(place)
        current = len(self.model.revisions(learner, block))
        with pytest.raises(ConflictError) as caught:
            changed = self.real(changes | {place: {"never": 1}})
            self.store.save(learner, changed, expected={block: current + off})
        assert (caught.value.usage_key, caught.value.current) == (block, current)

    @rule(who=learners, changes=all_changes)
    def save_what_cannot_be(self, who: int, changes: Drawn) -> None:
        with pytest.raises(InvalidValueError):
            self.store.save(self.learners[who], self.real(changes | {UserInfo(): {"never": object()}}))

    @rule(who=learners, place=blocks, back=st.integers(-1, 4), step=steps)
    def restore(self, who: int, place: int, back: int, step: timedelta) -> None:
        learner, block = self.learners[who], self.key(place)
        last = len(self.model.revisions(learner, block))
        number = last - back
        if not 1 <= number <= last:
            with pytest.raises(NoSuchRevisionError):
                self.store.restore(learner, block, revision=number)
            return
        self.step(step)
        self.store.restore(learner, block, revision=number)
        self.model.restore(learner, block, number, self.now)

    @precondition(lambda self: not self.is_long)
    @rule(who=learners, place=blocks)
    def save_past_a_snapshot(self, who: int, place: int) -> None:
        """Once, since it takes long."""
        self.is_long = True
        with transaction.atomic(self.store.using):
            for n in range(MANY):
                changes: Changes = {self.key(place): {"x": n, "y": DELETED if n % 2 else n}}
                self.store.save(self.learners[who], changes)
                self.apply(self.learners[who], changes, {})

    # Transactions

    @precondition(lambda self: len(self.open) < 3)
    @rule()
    def enter(self) -> None:
        block = transaction.atomic(self.store.using)
        block.__enter__()
        self.open.append((block, self.model.copy()))

    @precondition(lambda self: bool(self.open))
    @rule(commits=st.booleans())
    def leave(self, commits: bool) -> None:
        self.end(commits)

    @rule(who=learners, changes=all_changes, grades=all_grades, token=tokens)
    def save_and_roll_back(self, who: int, changes: Drawn, grades: Drawn, token: UUID | None) -> None:
        """Keys that it was the first to meet get their ids anew, or others get them."""
        changed, graded = self.real(changes), self.real(grades)
        with transaction.atomic(self.store.using):
            self.store.save(self.learners[who], changed, grades=graded, token=token)
            transaction.set_rollback(True, self.store.using)
        if token is not None:
            self.tries.append(Try(changed, graded, token))

    @precondition(lambda self: not self.is_seen)
    @rule()
    def become_another_process(self) -> None:
        """One that has met no key, with a store of its own."""
        self.is_seen = True
        forget_all()
        self.store = self.suite.make_store()


class StatefulContract(OnStores):
    examples: ClassVar[int] = 50
    """How many sequences are tried."""
    shorten: ClassVar[bool] = True
    """Whether of one that fails the shortest is searched for that still does, for up to five minutes."""

    def test_the_store_is_what_a_plain_model_is(self, clock: Clock) -> None:
        machine = type("Machine", (StoreMachine,), {"suite": self, "clock": clock})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=30,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[phase for phase in Phase if self.shorten or phase not in (Phase.shrink, Phase.explain)],
            ),
        )
