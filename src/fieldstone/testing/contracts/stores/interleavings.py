"""Two savers at the same rows, in every way that their statements can mix: as if one had come after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fieldstone.errors import ConflictError
from fieldstone.store import DELETED, Grade, Place, Preferences, Store, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, B
from fieldstone.testing.races import RaceReport, race

EVERYWHERE: list[Place] = [A, B, Summary(A), Preferences("problem"), UserInfo()]
LIMIT = 60


class InterleavingsContract(OnStores):
    """By the race harness: what these find, they find at each run."""

    def raced(self, store: Store, *steps: Callable[[], Any], **options: Any) -> RaceReport:
        report = race(*steps, using=store.using, limit=LIMIT, **options)
        assert len(report.interleavings) > 1, "nothing was mixed: does the store write through store.using?"
        return report

    def saving(self, learner: int, changes: dict[Place, dict[str, Any]], **options: Any) -> Callable[[], Any]:
        """A step: a save, as by a process that has met nothing yet."""

        def save() -> None:
            forget_all()
            self.make_store().save(learner, changes, **options)

        return save

    @pytest.mark.parametrize("is_new", [False, True], ids=["rows that are there", "new rows"])
    def test_no_field_is_lost_however_two_saves_mix(self, racing: Store, learner: int, is_new: bool) -> None:
        if not is_new:
            racing.save(learner, {place: {"x": 0, "z": 0} for place in EVERYWHERE})
        one = self.saving(learner, {place: {"x": 1} for place in EVERYWHERE}, grades={A: Grade(1, 2)})
        deleting: dict[Place, dict[str, Any]] = {place: {"y": 2, "z": DELETED} for place in reversed(EVERYWHERE)}
        self.raced(racing, one, self.saving(learner, deleting, grades={A: Grade(2, 2)}))

    def test_of_two_saves_that_expect_the_same_revision_one_is_refused(self, racing: Store, learner: int) -> None:
        racing.save(learner, {A: {"x": 0}})
        report = self.raced(racing, *(self.saving(learner, {A: {name: 1}}, expected={A: 1}) for name in "yz"))
        for interleaving in report.interleavings:
            errors = [outcome.error for outcome in interleaving.outcomes.values() if outcome.error is not None]
            assert [type(error) for error in errors] == [ConflictError]

    def test_a_save_amid_a_restore_comes_before_it_or_after_it_or_has_it_refused(
        self, racing: Store, learner: int
    ) -> None:
        for number in range(3):
            racing.save(learner, {A: {"x": number}})

        def restore() -> None:
            self.make_store().restore(learner, A, revision=1)

        save = self.saving(learner, {A: {"x": 7, "y": 7}})
        report = self.raced(racing, restore, save, allow=[ConflictError])
        assert all(interleaving.outcomes["b"].error is None for interleaving in report.interleavings)

    def test_what_is_read_and_then_saved_is_lost_unless_its_revision_is_expected(
        self, racing: Store, learner: int
    ) -> None:
        """The first half shows that the others could fail: the harness sees a lost update where there is one."""

        def adding(*, expecting: bool) -> Callable[[], Any]:
            def add_one() -> None:
                store = self.make_store()
                state = store.read(learner, [A])[A]
                expected = {A: state.revision or 0} if expecting else {}
                store.save(learner, {A: {"x": state.fields["x"] + 1}}, expected=expected)

            return add_one

        def stored() -> Any:
            return racing.read(learner, [A])[A].fields["x"]

        racing.save(learner, {A: {"x": 0}})
        lost = self.raced(racing, *[adding(expecting=False)] * 2, observe=stored, allow=["lost update"])
        assert lost.lost_updates
        self.raced(racing, *[adding(expecting=True)] * 2, observe=stored, allow=[ConflictError])
