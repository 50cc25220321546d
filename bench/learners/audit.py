"""Is all there that learners were told is stored, and nothing else? Read from the database when all is over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.learners.course import Page, Problem
from bench.learners.journal import Action, Journal, Kind, Outcome
from fieldstone.store.engines.walk import Part
from fieldstone.store.places import Summary
from fieldstone.store.states import State, States
from fieldstone.store.store import Store
from fieldstone.store.verify import Verification

ANSWERS = (Kind.CHECK, Kind.SAVE)


class Audit:
    """Compares a journal with what is stored. ``findings`` has a line for each thing that is wrong."""

    def __init__(self, page: Page, journal: Journal) -> None:
        self._page = page
        self._of: dict[int, list[Action]] = defaultdict(list)
        for action in journal.actions:
            self._of[action.learner_id].append(action)
        self._store = Store()
        self._chosen: Counter[str] = Counter()  # as the learners' own states say
        self._given: Counter[str] = Counter()
        self._verification = Verification(None, Part())
        self.findings = [*self._learners(), *self._tallies(), *self._disagreements()]

    def _learners(self) -> Iterator[str]:
        page = self._page
        keys = [*(problem.usage_key for problem in page.problems), page.poll, page.cloud, page.done]
        for learner_id, actions in self._of.items():
            states = self._store.read(learner_id, keys)
            for problem in page.problems:
                mine = [each for each in actions if each.usage_key == problem.usage_key]
                for wrong in self._problem(learner_id, problem, mine, states):
                    yield f"learner {learner_id}, {problem.usage_key}: {wrong}"
            for wrong in self._others(actions, states):
                yield f"learner {learner_id}, {wrong}"

    def _problem(
        self, learner_id: int, problem: Problem, actions: Sequence[Action], states: States
    ) -> Iterator[str]:
        history = self._store.history(learner_id, problem.usage_key)
        stored = [said for revision in reversed(history) for said in _answers(revision.changes)]
        yield from _compared(actions, stored)
        by_said = {action.said: action for action in actions}
        checked = [by_said[said] for said in stored if said in by_said and by_said[said].kind is Kind.CHECK]
        state = states.get(problem.usage_key)
        attempts = _field(state, "attempts", 0)
        if attempts != len(checked):
            yield f"{len(checked)} answers are in its history, and it counts {attempts} attempts"
        if checked and (state is None or state.grade != float(checked[-1].is_right)):
            yield f"its grade is {state and state.grade}, and the last answer was {checked[-1].is_right}"

    def _others(self, actions: Sequence[Action], states: States) -> Iterator[str]:
        """The poll, the word cloud, and the mark that one is done: each acted upon once, or not."""
        page = self._page
        choice = _field(states.get(page.poll), "choice", None)
        words = _field(states.get(page.cloud), "student_words", [])
        done = _field(states.get(page.done), "done", False)
        self._chosen.update([choice] if choice else [])
        self._given.update(words)
        for key, kind, stored in (
            (page.poll, Kind.VOTE, [choice] if choice else []),
            (page.cloud, Kind.WORDS, words),
            (page.done, Kind.DONE, ["done"] if done else []),
        ):
            for wrong in _compared([each for each in actions if each.kind is kind], stored):
                yield f"{key}: {wrong}"

    def _tallies(self) -> Iterator[str]:
        """What is counted for all learners together is what they have stored each."""
        poll, cloud = Summary(self._page.poll), Summary(self._page.cloud)
        stored = self._store.read(None, [poll, cloud])
        for place, name, own in ((poll, "tally", self._chosen), (cloud, "all_words", self._given)):
            counted = _field(stored.get(place), name, {})
            for said in {*counted, *own}:
                if counted.get(said, 0) != own[said]:
                    yield f"{place.usage_key}: {own[said]} learners said {said!r}, counted {counted.get(said, 0)}"

    def _disagreements(self) -> Iterator[str]:
        """What ``manage.py fieldstone_verify`` lists: states that do not follow from their history."""
        for findings in self._verification.batches():
            for finding in findings:
                yield f"learner {finding.learner_id}, {finding.key}: {finding.what} (fieldstone_verify)"

    @property
    def read(self) -> tuple[int, int]:
        """How many states and revisions were found, of all blocks."""
        return self._verification.states, self._verification.revisions


def _compared(actions: Sequence[Action], stored: Sequence[str]) -> Iterator[str]:
    """Acknowledged and not stored, stored and refused, stored and never sent."""
    there = set(stored)
    for action in actions:
        if action.outcome is Outcome.ACKNOWLEDGED and action.said not in there:
            yield f"LOST {action.kind.value} {action.said!r}"
        elif action.outcome is Outcome.REFUSED and action.said in there:
            yield f"{action.kind.value} {action.said!r} was refused, and is stored all the same"
    for said in there - {action.said for action in actions}:
        yield f"{said!r} is stored, and nobody sent it"


def _answers(fields: Mapping[str, Any]) -> list[str]:
    return list((fields.get("student_answers") or {}).values())


def _fields(state: State | None) -> Mapping[str, Any]:
    return {} if state is None else state.fields


def _field(state: State | None, name: str, default: Any) -> Any:
    return _fields(state).get(name, default)
