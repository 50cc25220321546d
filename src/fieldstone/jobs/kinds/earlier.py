"""What kinds have in common that make a state what it was."""

from __future__ import annotations

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.outcomes import Change, Failure, Outcome, Skip
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.history import Earlier, changes_between
from fieldstone.store.states import Grade, State


def outcome_of(learner_id: int, usage_key: UsageKey, state: State, earlier: Earlier) -> Outcome:
    """A state is to be an earlier one again: by a new revision, unless somebody saves meanwhile."""
    if not isinstance(earlier, State):
        return Failure(str(earlier))
    try:
        changes = changes_between(state.fields, earlier.fields)
    except (ValueError, TypeError, AttributeError, RecursionError):  # what is no object of JSON texts ends in one
        return Failure(
            "What is stored is damaged: no fields can be read of it."
            f" `manage.py fieldstone_verify --learner {learner_id}` says more."
        )
    had, has = Grade(earlier.grade, earlier.max_grade), Grade(state.grade, state.max_grade)
    if not changes and had == has:
        return Skip()
    save = LearnerSave.of(
        learner_id,
        {usage_key: changes},
        {usage_key: had} if had != has else {},
        {usage_key: state.revision or 0},
    )
    return Change(save, f"revision {earlier.revision} again" if earlier.revision else "nothing again")
