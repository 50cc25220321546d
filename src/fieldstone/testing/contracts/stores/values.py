"""What a value may be, and what it comes back as."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.test import override_settings

from fieldstone.errors import InvalidValueError
from fieldstone.store import Place, Preferences, Store, Summary, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, B, fields_of


class Score(NamedTuple):
    raw_earned: float
    raw_possible: float


PROBES: list[Any] = [
    None, True, False, 0, -0.0, 1, 1.0, 1e22, 1e-7, 2**53 + 1, 10**4000, 0.1, math.inf, -math.inf,
    "", "\x00", "\ud800", "\U0001f600", "é", "\u2028", '"', "\\", "null", {}, [], {"": None}, [None], [[]],
    {"a": {"b": None}}, {"$ref": 1}, [1, 1.0, "1"], "x" * 5_000_000,
]  # fmt: skip


class ValuesContract(OnStores):
    def test_values_come_back_equal_and_of_the_same_type(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {f"field {n}": value for n, value in enumerate(PROBES)}})
        store.save(learner, {A: {"another": 1}})  # the server merges once more
        fields = store.read(learner, [A])[A].fields
        for number, value in enumerate(PROBES):
            assert repr(fields[f"field {number}"]) == repr(value)

    def test_values_of_the_other_scopes_come_back_equal_and_of_the_same_type(
        self, store: Store, learner: int
    ) -> None:
        places: list[Place] = [Summary(A), Preferences("problem"), UserInfo()]
        store.save(learner, {place: {f"field {n}": value for n, value in enumerate(PROBES)} for place in places})
        states = store.read(learner, places)
        for place in places:
            for number, value in enumerate(PROBES):
                assert repr(states[place].fields[f"field {number}"]) == repr(value)

    def test_a_value_of_depth_1000_comes_back(self, store: Store, learner: int) -> None:
        """Deeper than Python's own limit on recursion lets its json go."""
        deep: Any = 1
        for _ in range(500):
            deep = {"a": [deep]}
        store.save(learner, {A: {"deep": deep}})
        found = store.read(learner, [A])[A].fields["deep"]
        for _ in range(500):
            found = found["a"][0]
        assert found == 1

    def test_a_value_over_the_limit_is_refused(self, store: Store, learner: int) -> None:
        limit = {**getattr(settings, "FIELDSTONE", {}), "MAX_VALUE_BYTES": 10}
        with override_settings(FIELDSTONE=limit):
            store.save(learner, {A: {"x": "12345678"}})
            with pytest.raises(InvalidValueError, match=r"'x' of .* it takes 11 bytes, and 10 are allowed"):
                store.save(learner, {A: {"x": "123456789"}, B: {"y": 1}})
        assert fields_of(store, learner, A) == {"x": "12345678"}
        assert fields_of(store, learner, B) is None

    def test_named_tuples_are_stored_as_objects(self, store: Store, learner: int) -> None:
        """XBlock's ScoreField writes them, and reads only objects with both names; Open edX stores them so."""
        store.save(learner, {A: {"score": Score(0.5, 1), "history": [Score(0, 1)], "plain": (1, 2)}})
        assert fields_of(store, learner, A) == {
            "score": {"raw_earned": 0.5, "raw_possible": 1},
            "history": [{"raw_earned": 0, "raw_possible": 1}],
            "plain": [1, 2],
        }

    def test_what_is_read_is_a_copy(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"answers": [1]}})
        fields = store.read(learner, [A])[A].fields
        fields["answers"].append(2)
        assert fields["answers"] == [1]
        assert fields_of(store, learner, A) == {"answers": [1]}

    def test_what_was_saved_is_a_copy(self, store: Store, learner: int) -> None:
        """What the caller does to a value later changes neither the state, nor the receipt, nor the history."""
        answers = [1]
        receipt = store.save(learner, {A: {"answers": answers}, UserInfo(): {"answers": answers}})
        answers.append(2)
        assert dict(receipt.states[A].fields) == {"answers": [1]}
        assert fields_of(store, learner, A) == fields_of(store, learner, UserInfo()) == {"answers": [1]}
        assert store.history(learner, A)[0].changes == {"answers": [1]}
