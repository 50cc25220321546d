"""Any sequence of saves, tries, restores and transactions against a plain model, on every engine.

``CI=true`` tries more sequences, ``FIELDSTONE_EXAMPLES=1000`` as many as that.
"""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import ConflictError, InvalidValueError, NoSuchRevisionError
from fieldstone.store import DELETED, NO_GRADE, Grade, Preferences, Store, Summary, UserInfo
from fieldstone.store.parts import part_of
from fieldstone.store.tables import SNAPSHOT_EVERY
from fieldstone.store.usages import forget_all
from fieldstone.store.verify import Verification
from tests.conftest import each_engine
from tests.strategies import field_names, json_values

EXAMPLES = int(os.environ.get("FIELDSTONE_EXAMPLES") or (120 if os.environ.get("CI") else 50))
BLOCKS = range(4)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

numbers = itertools.count(1)  # each sequence has learners and a course of its own: nothing has to be emptied

blocks = st.sampled_from([0, 0, 0, 1, 1, 2, 3])  # most saves meet what others have saved
places = blocks | st.sampled_from(
    [*((Summary, n) for n in BLOCKS), Preferences("a"), Preferences("b"), UserInfo()]
)
values = st.just(DELETED) | st.integers(0, 3) | json_values
names = st.sampled_from(["x", "y", "z"])
fields = st.dictionaries(names | field_names, values, max_size=3)
all_changes = st.dictionaries(places, fields, max_size=3)
grades = st.just(NO_GRADE) | st.builds(Grade, st.floats(0, 1), st.integers(1, 3))
all_grades = st.dictionaries(blocks, grades, max_size=2)
learners = st.sampled_from([0, 0, 0, 1])
steps = st.integers(-2, 3).map(lambda days: timedelta(days=days))  # clocks of processes differ


class Past(NamedTuple):
    """What a revision should be: its fields are names to JSON text, its changes too, with DELETED."""

    fields: dict
    grade: Grade
    at: datetime
    changes: dict
    origin: str


NOTHING = Past({}, NO_GRADE, NEW_YEAR - timedelta(days=1000), {}, "")


class Try(NamedTuple):
    """A save that may be tried again."""

    learner: int
    changes: dict
    grades: dict
    token: UUID


def encoded(changes):
    return {name: value if value is DELETED else json.dumps(value) for name, value in changes.items()}


def merged(stored, changes):
    return {name: text for name, text in (stored | changes).items() if text is not DELETED}


class StoreMachine(RuleBasedStateMachine):
    """The model: ``past`` by (learner, block), ``others`` by (learner, place), ``written`` tokens."""

    alias = "default"

    @initialize()
    def begin(self):
        forget_all()
        number = next(numbers)
        self.learners = [2 * number, 2 * number + 1]
        course = CourseLocator("Org", "Course", f"run{number}")
        self.blocks = [course.make_usage_key("problem", f"b{n}") for n in BLOCKS]
        self.context = course
        self.now = NEW_YEAR
        self.store = Store(self.alias, clock=lambda: self.now)
        self.past, self.others, self.written = {}, {}, set()
        self.tries: list[Try] = []
        self.is_long, self.is_seen = False, True
        self.open: list[tuple] = []  # transactions, each with the model as it was before

    def key(self, place):
        """The place of a drawn one: blocks are numbers until the course is known."""
        if isinstance(place, int):
            return self.blocks[place]
        return Summary(self.blocks[place[1]]) if place[:1] == (Summary,) else place

    # Saving

    def apply(self, learner, changes, grades, token=None, origin=""):
        """What the save of real places does to the model."""
        self.is_seen = False
        saved = {place for place, new in changes.items() if new and isinstance(place, UsageKey)} | grades.keys()
        for place in saved:
            revisions = self.past.setdefault((learner, place), [])
            before = revisions[-1] if revisions else NOTHING
            delta = encoded(changes.get(place, {}))
            grade = Grade(*map(float, grades[place])) if grades.get(place, NO_GRADE) != NO_GRADE else before.grade
            grade = NO_GRADE if grades.get(place) == NO_GRADE else grade
            at = max(before.at, self.now)
            revisions.append(Past(merged(before.fields, delta), grade, at, delta, origin))
            self.written.add((learner, place, token))
        for place, new in changes.items():
            if not isinstance(place, UsageKey):
                owner = None if isinstance(place, Summary) else learner
                self.others[owner, place] = merged(self.others.get((owner, place), {}), encoded(new))

    def revision(self, learner, place):
        return len(self.past.get((learner, place), []))

    @rule(who=learners, place=places, name=names, value=st.just(DELETED) | st.integers(0, 3), step=steps)
    def save_a_field(self, who, place, name, value, step):
        self.now += step
        self.save(who, {place: {name: value}}, {}, None, ())

    @rule(who=learners, place=blocks, grade=grades)
    def save_a_grade(self, who, place, grade):
        self.save(who, {}, {place: grade}, None, ())

    # Hypothesis draws rules evenly, and there is little to look at unless most of them save.
    save_another_field, save_yet_another = save_a_field, save_a_field

    @rule(
        who=learners,
        changes=all_changes,
        grades=all_grades,
        token=st.none() | st.uuids(version=4),
        expects=st.sets(st.sampled_from(BLOCKS)),
    )
    def save(self, who, changes, grades, token, expects):
        learner, changes, grades = self.real(who, changes, grades)
        saved = {place for place, new in changes.items() if new and isinstance(place, UsageKey)} | grades.keys()
        expected = {place: self.revision(learner, place) for place in map(self.key, expects) if place in saved}
        receipt = self.store.save(learner, changes, grades=grades, expected=expected, token=token, origin="rule")
        self.apply(learner, changes, grades, token, "rule")
        assert not receipt.repeated
        assert set(receipt.states) == saved
        for place in saved:
            self.agree(receipt.states[place], learner, place)
        if token is not None and saved:
            self.tries.append(Try(who, changes, grades, token))

    save_more = save

    def real(self, who, changes, grades):
        learner = self.learners[who]
        return (
            learner,
            {self.key(place): new for place, new in changes.items()},
            {self.key(place): grade for place, grade in grades.items()},
        )

    @precondition(lambda self: self.tries)
    @rule(which=st.integers(0, 5), who=learners, step=steps)
    def try_again(self, which, who, step):
        """Also of a save that was rolled back since, and by the other learner."""
        _, changes, grades, token = self.tries[-1 - which % len(self.tries)]
        learner = self.learners[who]
        self.now += step
        saved = {p for p, new in changes.items() if new and isinstance(p, UsageKey)} | grades.keys()
        repeated = any((learner, place, token) in self.written for place in saved)
        receipt = self.store.save(learner, changes, grades=grades, token=token)
        assert receipt.repeated == repeated
        if not repeated:
            self.apply(learner, changes, grades, token)
        for place in saved:
            self.agree(receipt.states[place], learner, place)

    try_once_more = try_again

    @rule(who=learners, changes=all_changes, place=blocks, off=st.sampled_from([-1, 1, 2]))
    def save_on_another_revision(self, who, changes, place, off):
        learner, changes, _ = self.real(who, changes | {place: {"never": 1}}, {})
        usage_key, current = self.key(place), self.revision(self.learners[who], self.key(place))
        with pytest.raises(ConflictError) as caught:
            self.store.save(learner, changes, expected={usage_key: current + off})
        assert (caught.value.usage_key, caught.value.current) == (usage_key, current)

    @rule(who=learners, changes=all_changes)
    def save_what_cannot_be(self, who, changes):
        learner, changes, _ = self.real(who, changes | {UserInfo(): {"never": object()}}, {})
        with pytest.raises(InvalidValueError):
            self.store.save(learner, changes)

    @rule(who=learners, place=blocks, back=st.integers(-1, 4), step=steps)
    def restore(self, who, place, back, step):
        learner, usage_key = self.learners[who], self.key(place)
        revisions = self.past.get((learner, usage_key), [])
        number = len(revisions) - back
        if not 1 <= number <= len(revisions):
            with pytest.raises(NoSuchRevisionError):
                self.store.restore(learner, usage_key, revision=number)
            return
        self.now += step
        self.store.restore(learner, usage_key, revision=number)
        wanted, current = revisions[number - 1], revisions[-1]
        if (wanted.fields, wanted.grade) != (current.fields, current.grade):
            changes = dict.fromkeys(current.fields.keys() - wanted.fields.keys(), DELETED)
            changes |= {name: text for name, text in wanted.fields.items() if current.fields.get(name) != text}
            at = max(current.at, self.now)
            revisions.append(Past(wanted.fields, wanted.grade, at, changes, "restore"))

    @precondition(lambda self: not self.is_long)
    @rule(who=learners, place=blocks)
    def save_past_a_snapshot(self, who, place):
        """Once, since it takes long."""
        self.is_long = True
        learner, usage_key = self.learners[who], self.key(place)
        with transaction.atomic(self.alias):
            for n in range(SNAPSHOT_EVERY):
                changes = {usage_key: {"x": n, "y": DELETED if n % 2 else n}}
                self.store.save(learner, changes)
                self.apply(learner, changes, {})

    # Transactions

    @precondition(lambda self: len(self.open) < 3)
    @rule()
    def enter(self):
        block = transaction.atomic(self.alias)
        block.__enter__()
        model = {row: list(revisions) for row, revisions in self.past.items()}
        self.open.append((block, model, dict(self.others), set(self.written)))

    @precondition(lambda self: self.open)
    @rule(commits=st.booleans())
    def leave(self, commits):
        block, past, others, written = self.open.pop()
        if commits:
            block.__exit__(None, None, None)
        else:
            error = ZeroDivisionError()
            block.__exit__(ZeroDivisionError, error, None)
            self.past, self.others, self.written = past, others, written

    @rule(who=learners, changes=all_changes, grades=all_grades, token=st.none() | st.uuids(version=4))
    def save_and_roll_back(self, who, changes, grades, token):
        """Keys that it was the first to meet get their ids anew, or others get them."""
        learner, changes, grades = self.real(who, changes, grades)
        with transaction.atomic(self.alias):
            self.store.save(learner, changes, grades=grades, token=token)
            transaction.set_rollback(True, self.alias)
        if token is not None:
            self.tries.append(Try(who, changes, grades, token))

    @precondition(lambda self: not self.is_seen)
    @rule()
    def become_another_process(self):
        """One that has met no key."""
        self.is_seen = True
        forget_all()

    # Looking

    def agree(self, state, learner, place):
        self.is_as(state, self.past[learner, place], self.revision(learner, place))

    def is_as(self, state, revisions, number):
        past = revisions[number - 1] if number else NOTHING
        assert encoded(state.fields) == past.fields
        assert (state.revision, Grade(state.grade, state.max_grade)) == (number, past.grade)
        if number:
            assert state.modified == past.at

    @invariant()
    def what_is_read_is_what_was_saved(self):
        wanted = [*self.blocks, *map(Summary, self.blocks), Preferences("a"), Preferences("b"), UserInfo()]
        for learner in self.learners:
            states = self.store.read(learner, wanted)
            for place in self.blocks:
                assert (place in states) == ((learner, place) in self.past)
                if place in states:
                    self.agree(states[place], learner, place)
            for place in wanted[len(self.blocks) :]:
                owner = None if isinstance(place, Summary) else learner
                read = encoded(states[place].fields) if place in states else {}
                assert read == self.others.get((owner, place), {})

    @precondition(lambda self: not self.is_seen)
    @rule(who=learners, place=blocks, days=st.integers(-40, 40))
    def look_at_a_moment(self, who, place, days):
        learner, usage_key, moment = self.learners[who], self.key(place), NEW_YEAR + timedelta(days=days)
        revisions = self.past.get((learner, usage_key), [])
        number = sum(past.at <= moment for past in revisions)
        self.is_as(self.store.at(learner, usage_key, moment=moment), revisions, number)

    @precondition(lambda self: not self.is_seen)
    @rule()
    def look_back(self):
        self.is_seen = True
        for learner, usage_key in itertools.product(self.learners, self.blocks):
            revisions = self.past.get((learner, usage_key), [])
            history = self.store.history(learner, usage_key)[::-1]
            assert [revision.number for revision in history] == list(range(1, len(revisions) + 1))
            for number, (past, revision) in enumerate(zip(revisions, history, strict=True), 1):
                seen = (revision.at, encoded(revision.changes), revision.origin)
                assert seen == (past.at, past.changes, past.origin)
                if len(revisions) < 40 or number % SNAPSHOT_EVERY in (0, 1, 7) or number == len(revisions):
                    self.is_as(self.store.at(learner, usage_key, revision=number), revisions, number)

    @precondition(lambda self: not self.is_seen)
    @rule(batch=st.integers(1, 4))
    def scan(self, batch):
        """Every learner's state of the course, and of each block; each once."""
        self.is_seen = True
        for wanted, of in [(self.blocks, {"context": self.context})] + [
            ([b], {"usage_key": b}) for b in self.blocks
        ]:
            rows = list(self.store.scan(**of, batch=batch))
            found = [(row.learner_id, row.usage_key) for row in rows]
            assert len(found) == len(set(found))
            assert set(found) == {row for row in self.past if row[1] in wanted}
            for row in rows:
                self.agree(row.state, row.learner_id, row.usage_key)

    def teardown(self):
        if not hasattr(self, "open"):
            return  # it was never begun
        while self.open:
            self.leave(commits=False)
        self.what_is_read_is_what_was_saved()
        self.look_back()
        self.scan(batch=2)
        if self.past:
            part = part_of(self.alias, context=str(self.context))
            assert [finding for batch in Verification(self.alias, part).batches() for finding in batch] == []


@each_engine
def test_the_store_is_what_a_plain_model_is(alias):
    machine = type("Machine", (StoreMachine,), {"alias": alias})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    forget_all()
