"""A store beside the model: how the two begin, and every way of looking at them."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store import Grade, Place, Preferences, State, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.clock import Clock
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.model import Changes, Grades, Model, encoded
from fieldstone.testing.contracts.stores.samples import NEW_YEAR, usage

FEW = 40
"""Revisions up to which each is looked at; of longer histories every seventh."""

runs = itertools.count(1)  # each sequence has learners and a course of its own: nothing has to be emptied

BLOCKS = range(4)
blocks = st.sampled_from([0, 0, 0, 1, 1, 2, 3])  # most saves meet what others have saved
learners = st.sampled_from([0, 0, 0, 1])

Drawn = dict[Any, Any]
"""By places as they are drawn: blocks are numbers until the course is known."""


class Try(NamedTuple):
    """A save that may be tried again."""

    changes: Changes
    grades: Grades
    token: UUID


class Compared(RuleBasedStateMachine):
    """The store and the model do the same, and are compared. A subclass says what they do."""

    suite: OnStores
    clock: Clock

    @initialize()
    def begin(self) -> None:
        forget_all()
        self.store = self.suite.make_store()
        self.learners = [self.suite.make_learner(self.store) for _ in range(2)]
        self.context = CourseLocator("Org", "Course", f"run{next(runs)}")
        self.blocks = [usage(f"b{n}", course=self.context) for n in BLOCKS]
        self.model, self.now = Model(), NEW_YEAR
        self.clock.move_to(self.now)
        self.tries: list[Try] = []
        self.is_long, self.is_seen = False, True
        self.open: list[tuple[AbstractContextManager[Any], Model]] = []  # transactions, the model before each

    def key(self, place: Any) -> Any:
        if isinstance(place, int):
            return self.blocks[place]
        return Summary(self.blocks[place[1]]) if place[:1] == (Summary,) else place

    def real(self, drawn: Drawn) -> Any:
        return {self.key(place): new for place, new in drawn.items()}

    def end(self, commits: bool) -> None:
        """Of the innermost transaction."""
        block, before = self.open.pop()
        if commits:
            block.__exit__(None, None, None)
        else:
            block.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
            self.model = before

    def step(self, by: timedelta) -> None:
        self.now += by
        self.clock.move_to(self.now)

    # Looking

    def agree(self, state: State, learner: int, block: Any) -> None:
        self.is_as(state, learner, block, len(self.model.revisions(learner, block)))

    def is_as(self, state: State, learner: int, block: Any, number: int) -> None:
        past = self.model.revision(learner, block, number)
        assert encoded(state.fields) == past.fields
        assert (state.revision, Grade(state.grade, state.max_grade)) == (number, past.grade)
        if number:
            assert state.modified == past.at

    @invariant()
    def what_is_read_is_what_was_saved(self) -> None:
        wanted: list[Place] = [*map(Summary, self.blocks), Preferences("a"), Preferences("b"), UserInfo()]
        for learner in self.learners:
            states = self.store.read(learner, [*self.blocks, *wanted])
            for block in self.blocks:
                assert (block in states) == ((learner, block) in self.model.past)
                if block in states:
                    self.agree(states[block], learner, block)
            for place in wanted:
                owner = None if isinstance(place, Summary) else learner
                read = encoded(states[place].fields) if place in states else {}
                assert read == self.model.others.get((owner, place), {})

    @precondition(lambda self: not self.is_seen)
    @rule(who=learners, place=blocks, days=st.integers(-40, 40))
    def look_at_a_moment(self, who: int, place: int, days: int) -> None:
        learner, block, moment = self.learners[who], self.key(place), NEW_YEAR + timedelta(days=days)
        number = sum(past.at <= moment for past in self.model.revisions(learner, block))
        self.is_as(self.store.at(learner, block, moment=moment), learner, block, number)

    @precondition(lambda self: not self.is_seen)
    @rule()
    def look_back(self) -> None:
        self.is_seen = True
        for learner, block in itertools.product(self.learners, self.blocks):
            revisions = self.model.revisions(learner, block)
            history, states = self.store.history(learner, block)[::-1], self.store.states(learner, block)[::-1]
            assert [revision.number for revision in history] == list(range(1, len(revisions) + 1))
            for number, (past, seen, state) in enumerate(zip(revisions, history, states, strict=True), 1):
                assert (seen.at, encoded(seen.changes), seen.origin) == (past.at, past.changes, past.origin)
                self.is_as(state, learner, block, number)
                if len(revisions) < FEW or number % 7 == 0 or number == len(revisions):
                    self.is_as(self.store.at(learner, block, revision=number), learner, block, number)

    @precondition(lambda self: not self.is_seen)
    @rule(batch=st.integers(1, 4))
    def scan(self, batch: int) -> None:
        """Every learner's state of the course, and of each block; each once."""
        self.is_seen = True
        scans: list[tuple[list[Any], dict[str, Any]]] = [(self.blocks, {"context": self.context})]
        scans += [([block], {"usage_key": block}) for block in self.blocks]
        for wanted, of in scans:
            rows = list(self.store.scan(**of, batch=batch))
            found = [(row.learner_id, row.usage_key) for row in rows]
            assert len(found) == len(set(found))
            assert set(found) == {row for row in self.model.past if row[1] in wanted}
            for row in rows:
                self.agree(row.state, row.learner_id, row.usage_key)

    def teardown(self) -> None:
        if not hasattr(self, "open"):
            return  # it was never begun
        while self.open:
            self.end(commits=False)
        self.what_is_read_is_what_was_saved()
        self.look_back()
        self.scan(batch=2)
        if self.model.past:
            self.suite.check_stored(self.store, self.context)
