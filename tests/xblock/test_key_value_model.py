"""Any sequence of calls on the key-value store against plain dictionaries, on every engine.

``CI=true`` tries more sequences, ``FIELDSTONE_EXAMPLES=1000`` as many as that.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os

import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from opaque_keys.edx.locator import CourseLocator
from xblock.exceptions import KeyValueMultiSaveError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.store.tables import PREFERENCES, STATE, SUMMARY, USER_INFO
from fieldstone.store.usages import forget_all
from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache
from tests.conftest import each_engine
from tests.strategies import json_values
from tests.xblock.blocks import LEARNER_SCOPES, Page, Quiz
from tests.xblock.faults import refused_values

EXAMPLES = int(os.environ.get("FIELDSTONE_EXAMPLES", 100 if os.environ.get("CI") else 15))

TABLES = [STATE, SUMMARY.name, PREFERENCES.name, USER_INFO.name]
POISON = "the database refuses this"
CANNOT_BE = object()
"""Values that fail a save: in the database, and before it."""

NUMBERS = itertools.count(1_000)
"""Courses and learners that no earlier sequence had."""

Field = tuple[Scope, int, str]
"""A scope, the number of a block (none in ``user_info``), and a field's name."""

fields = st.tuples(st.sampled_from(LEARNER_SCOPES), st.integers(0, 2), st.sampled_from("xyz")).map(
    lambda field: (field[0], 0, field[2]) if field[0] == Scope.user_info else field
)
updates = st.dictionaries(fields, json_values, max_size=5)


class KeyValueMachine(RuleBasedStateMachine):
    """One learner's cache, and another of the same learner that writes between its calls.

    Two blocks are fetched at the beginning. The third is met by its key alone.
    """

    alias: str

    @initialize(before=updates)
    def begin(self, before):
        number = next(NUMBERS)
        self.course = CourseLocator("Org", "Model", f"Run{number}")
        self.user = get_user_model()(pk=number)
        self.stored: dict[Field, str] = {}  # as JSON text: what is compared is the value, not Python's equality
        self.write_elsewhere(before)
        page = Page(self.user, self.alias)
        blocks = [page.build(Quiz, self.usage(block)) for block in (0, 1)]
        self.cache = FieldDataCache(blocks, self.course, self.user, using=self.alias)
        self.kvs = DjangoKeyValueStore(self.cache)
        self.met = {(Scope.user_state, 0), (Scope.user_state, 1), (Scope.preferences, 0), (Scope.user_info, 0)}
        self.met |= {(Scope.user_state_summary, 0), (Scope.user_state_summary, 1)}
        # What the cache is to show, as far as it has looked.
        self.seen = {field: text for field, text in self.stored.items() if field[:2] in self.met}

    def usage(self, block):
        return self.course.make_usage_key("quiz", f"b{block}")  # a new object at each call

    def key(self, field):
        scope, block, name = field
        if scope == Scope.user_info:
            of = None
        else:
            of = ("quiz", "poll", "text")[block] if scope == Scope.preferences else self.usage(block)
        return KeyValueStore.Key(scope, None if scope == Scope.user_state_summary else self.user.pk, of, name)

    def meet(self, *places):
        """The cache looks at places that it has not met: it sees what is stored by now."""
        for place in places:
            if place not in self.met:
                self.met.add(place)
                for field in [field for field in self.seen if field[:2] == place]:
                    del self.seen[field]
                self.seen |= {field: text for field, text in self.stored.items() if field[:2] == place}

    def look(self, field):
        """What was saved here is known. For anything else at a place that it has not met, the cache looks."""
        if field not in self.seen:
            self.meet(field[:2])

    def saved(self, changed):
        """The model takes up a save of ours: a block's state comes back whole, other fields one by one."""
        for field, text in changed.items():
            for model in (self.stored, self.seen):
                model.pop(field, None)
                if text is not None:
                    model[field] = text
        for place in {field[:2] for field in changed if field[0] == Scope.user_state}:
            self.met.discard(place)
            self.meet(place)

    def write_elsewhere(self, values):
        kvs = DjangoKeyValueStore(FieldDataCache([], self.course, self.user, using=self.alias))
        kvs.set_many({self.key(field): value for field, value in values.items()})
        self.stored |= {field: json.dumps(value) for field, value in values.items()}

    # Our calls

    @rule(field=fields, value=json_values)
    def set(self, field, value):
        self.kvs.set(self.key(field), value)
        self.saved({field: json.dumps(value)})

    @rule(values=updates)
    def set_many(self, values):
        self.kvs.set_many({self.key(field): value for field, value in values.items()})
        self.saved({field: json.dumps(value) for field, value in values.items()})

    @rule(field=fields)
    def get(self, field):
        self.look(field)
        if field in self.seen:
            assert json.dumps(self.kvs.get(self.key(field))) == self.seen[field]
        else:
            with pytest.raises(KeyError):
                self.kvs.get(self.key(field))

    @rule(field=fields)
    def has(self, field):
        self.look(field)
        assert self.kvs.has(self.key(field)) == (field in self.seen)

    @rule(field=fields)
    def delete(self, field):
        self.look(field)
        if field in self.seen:
            self.kvs.delete(self.key(field))
            self.saved({field: None})
        else:
            with pytest.raises(KeyError):
                self.kvs.delete(self.key(field))

    @rule(values=updates, field=fields, value=st.sampled_from([POISON, CANNOT_BE]))
    def fail_to_save(self, values, field, value):
        with pytest.raises(KeyValueMultiSaveError) as caught:
            self.kvs.set_many({self.key(f): v for f, v in values.items()} | {self.key(field): value})
        assert caught.value.saved_field_names == []

    @rule(values=updates, more=updates, is_failing=st.booleans())
    def save_a_page(self, values, more, is_failing):
        """Two sets that are one save at the end; it fails with all that was shown meanwhile."""
        self.meet(*(field[:2] for field in (*values, *more)))
        try:
            with self.cache.saving_at_the_end():
                for part in (values, more):
                    self.kvs.set_many({self.key(field): value for field, value in part.items()})
                for field, value in (values | more).items():
                    assert json.dumps(self.kvs.get(self.key(field))) == json.dumps(value)
                if is_failing:
                    raise ZeroDivisionError
            self.saved({field: json.dumps(value) for field, value in (values | more).items()})
        except ZeroDivisionError:
            assert is_failing

    # What others do

    @rule(values=updates)
    def another_cache_writes(self, values):
        self.write_elsewhere(values)

    @rule(field=fields)
    def another_cache_deletes(self, field):
        kvs = DjangoKeyValueStore(FieldDataCache([], self.course, self.user, using=self.alias))
        if field in self.stored:
            kvs.delete(self.key(field))
            del self.stored[field]
        else:
            assert not kvs.has(self.key(field))

    # Always

    @invariant()
    def the_cache_shows_what_it_has_seen_and_the_database_has_what_was_saved(self):
        fresh = DjangoKeyValueStore(FieldDataCache([], self.course, self.user, using=self.alias))
        everything = [
            (scope, block, name)
            for scope in LEARNER_SCOPES
            for block in ((0,) if scope == Scope.user_info else (0, 1, 2))
            for name in "xyz"
        ]
        shown, found = {}, {}
        for field in everything:
            key = self.key(field)
            if field[:2] in self.met and self.kvs.has(key):
                shown[field] = json.dumps(self.kvs.get(key))
            if fresh.has(key):
                found[field] = json.dumps(fresh.get(key))
        assert shown == {field: text for field, text in self.seen.items() if field[:2] in self.met}
        assert found == self.stored


@each_engine
def test_the_key_value_store_is_what_plain_dictionaries_are(alias):
    machine = type("Machine", (KeyValueMachine,), {"alias": alias})
    faults = [refused_values(alias, table, POISON) for table in TABLES]
    with contextlib.ExitStack() as refusing:
        for fault in faults:
            refusing.enter_context(fault)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=20,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    forget_all()
