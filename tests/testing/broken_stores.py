"""Stores that break one promise each; ``catches`` names the test of the contract that has to say so."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from django.db import Error

from fieldstone.errors import InvalidValueError
from fieldstone.store import DELETED, NO_GRADE, Preferences, Receipt, States, Store, UserInfo
from fieldstone.values import encode_value


def is_storable(value):
    try:
        encode_value(value)
    except TypeError:
        return False
    return True


class LosesFieldsThatASaveDoesNotName(Store):
    catches = "test_fields_not_named_in_a_save_stay"

    def save(self, learner, changes, **more):
        stored = self.read(learner, changes)
        whole = {
            place: {**dict.fromkeys(stored[place].fields, DELETED), **new} if place in stored else new
            for place, new in changes.items()
        }
        return super().save(learner, whole, **more)


class DropsAPlaceOfAMultiSave(Store):
    catches = "test_one_save_reaches_all_scopes_and_blocks"

    def save(self, learner, changes, **more):
        return super().save(learner, dict(islice(changes.items(), 4)), **more)


class SavesPlaceByPlace(Store):
    catches = "test_a_save_that_fails_at_any_of_its_statements_leaves_nothing"

    def save(self, learner, changes, grades=None, **more):
        receipts = [super(SavesPlaceByPlace, self).save(learner, {place: changes[place]}) for place in changes]
        super().save(learner, {}, grades=grades)
        return receipts[-1]


class HidesErrorsOfTheDatabase(Store):
    catches = "test_a_failed_save_does_not_break_the_callers_transaction"

    def save(self, learner, changes, **more):
        try:
            return super().save(learner, changes, **more)
        except Error:
            return Receipt(States(), self._clock())


class ShowsWhatWasRolledBack(Store):
    catches = "test_the_rolled_back_save_leaves_neither_state_nor_history"

    def save(self, learner, changes, **more):
        self.saved = super().save(learner, changes, **more).states
        return Receipt(self.saved, self._clock())

    def read(self, learner, places):
        return {**super().read(learner, places), **getattr(self, "saved", {})}


class IgnoresExpectedRevisions(Store):
    catches = "test_a_save_on_another_revision_is_a_conflict_and_writes_nothing"

    def save(self, learner, changes, expected=None, **more):
        return super().save(learner, changes, **more)


class ChecksExpectedRevisionsBeforeItWrites(Store):
    catches = "test_of_two_saves_that_expect_the_same_revision_one_is_refused"

    def save(self, learner, changes, expected=None, **more):
        for place, revision in (expected or {}).items():
            states = self.read(learner, [place])
            if (states[place].revision if place in states else 0) != revision:
                return super().save(learner, changes, expected=expected, **more)
        return super().save(learner, changes, **more)


class ForgetsTokens(Store):
    catches = "test_a_save_that_is_tried_again_is_written_once"

    def save(self, learner, changes, token=None, **more):
        return super().save(learner, changes, **more)


class WritesOtherScopesAtASecondTry(Store):
    catches = "test_a_second_try_writes_no_other_scope_either"

    def save(self, learner, changes, **more):
        receipt = super().save(learner, changes, **more)
        if receipt.repeated and UserInfo() in changes:
            super().save(learner, {UserInfo(): changes[UserInfo()]})
        return receipt


class SwallowsAnInvalidValue(Store):
    catches = "test_bad_input_is_refused_before_anything_is_written"

    def save(self, learner, changes, **more):
        try:
            return super().save(learner, changes, **more)
        except InvalidValueError:
            valid = {
                place: {name: value for name, value in new.items() if is_storable(value)}
                for place, new in changes.items()
            }
            return super().save(learner, valid, **more)


class SharesValues(Store):
    catches = "test_what_is_read_is_a_copy"

    def read(self, learner, places):
        read = super().read(learner, places)
        return {place: state._replace(fields=dict(state.fields)) for place, state in read.items()}


class MakesNumbersOfBooleans(Store):
    catches = "test_values_come_back_equal_and_of_the_same_type"

    def save(self, learner, changes, **more):
        numbers = {
            place: {name: int(value) if value is True else value for name, value in new.items()}
            for place, new in changes.items()
        }
        return super().save(learner, numbers, **more)


class TakesBlockTypesForTheSame(Store):
    catches = "test_places_of_a_kind_are_kept_apart"

    def save(self, learner, changes, **more):
        lowered = {
            Preferences(place.block_type.lower()) if isinstance(place, Preferences) else place: new
            for place, new in changes.items()
        }
        return super().save(learner, lowered, **more)


class AsksForEachPlace(Store):
    catches = "test_a_prefetch_costs_one_query_a_scope"

    def read(self, learner, places):
        read = [super(AsksForEachPlace, self).read(learner, [place]) for place in places]
        return {place: state for states in read for place, state in states.items()}


class LosesTheGrade(Store):
    catches = "test_fields_leave_the_grade_and_a_grade_leaves_the_fields"

    def save(self, learner, changes, grades=None, **more):
        none = {place: NO_GRADE for place in changes if not isinstance(place, tuple)}
        return super().save(learner, changes, grades={**none, **(grades or {})}, **more)


class GivesHistoryOldestFirst(Store):
    catches = "test_history_is_of_every_save_latest_first"

    def history(self, learner, usage_key):
        return super().history(learner, usage_key)[::-1]


class LeavesOutTheSaveOfThatVeryMoment(Store):
    catches = "test_the_state_as_of_a_moment"

    def at(self, learner, usage_key, *, revision=None, moment=None):
        before = moment and moment - timedelta(microseconds=1)
        return super().at(learner, usage_key, revision=revision, moment=before)


class RestoresTheRevisionBefore(Store):
    catches = "test_any_revision_can_be_restored"

    def restore(self, learner, usage_key, *, revision, **more):
        return super().restore(learner, usage_key, revision=max(revision - 1, min(revision, 1)), **more)


class SkipsARowAtABatchsEnd(Store):
    catches = "test_a_context_is_read_whole_and_nothing_else_whatever_the_batch"

    def scan(self, *, batch=1000, **of):
        rows = super().scan(batch=batch, **of)
        return (row for number, row in enumerate(rows) if number == 0 or number % batch)


class GivesALearnerTwice(Store):
    catches = "test_learners_that_were_there_throughout_come_once_and_untorn_while_others_save"

    def scan_fields(self, place, *, batch=1000):
        for number, row in enumerate(super().scan_fields(place, batch=batch)):
            yield from [row] * (2 if number == 3 else 1)


class ForgetsWhatACoroutineExpects(Store):
    catches = "test_they_raise_what_the_calls_without_the_a_raise"

    async def asave(self, learner, changes, *, expected=None, **more):
        return await super().asave(learner, changes, **more)


class RestoresNoGrade(Store):
    catches = "test_the_store_is_what_a_plain_model_is"

    def restore(self, learner, usage_key, *, revision, **more):
        fields = self.at(learner, usage_key, revision=revision).fields
        now = self.read(learner, [usage_key])[usage_key].fields
        changes = {**dict.fromkeys(now.keys() - fields.keys(), DELETED), **fields}
        return self.save(learner, {usage_key: changes}, origin="restore")


BROKEN = [broken for broken in list(globals().values()) if isinstance(broken, type) and "catches" in vars(broken)]
