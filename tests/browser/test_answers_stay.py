"""Whatever a learner answers is there the next time, for them alone, and after the server was killed too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.exercises import EXERCISES, DragAndDrop, Exercise, Feedback, MultipleChoice, Poll
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: type(exercise).__name__)
def test_an_answer_is_there_again_for_the_learner_who_gave_it_and_for_nobody_else(
    exercise: Exercise, visitor: Visitor, learner: str, new_name: Callable[[str], str]
) -> None:
    card = visitor.card(exercise.title)
    visitor.open_unit(exercise.unit)
    exercise.assert_untouched(card)
    exercise.answer(visitor, card)
    exercise.assert_answered(card)
    visitor.reload()
    exercise.assert_answered(card)

    visitor.start_as(new_name("grace"))
    exercise.assert_untouched(card)

    visitor.switch_to(learner)
    exercise.assert_answered(card)
    assert not visitor.troubles


def test_answers_and_the_session_survive_a_killed_server(
    visitor: Visitor, learner: str, workbench: Workbench
) -> None:
    exercises = [MultipleChoice(), Poll(), DragAndDrop(), Feedback()]
    for exercise in exercises:
        visitor.open_unit(exercise.unit)
        exercise.answer(visitor, visitor.card(exercise.title))
    workbench.kill()
    workbench.start()
    for exercise in exercises:
        visitor.open_unit(exercise.unit)
        visitor.expect_learner(learner)
        exercise.assert_answered(visitor.card(exercise.title))
