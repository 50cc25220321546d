"""What kinds have in common that ask a block: one learner's failure is recorded, and the rest go on."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError
from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock

from fieldstone.jobs.blocks import Prefetched, TaskRuntime, places_of
from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.outcomes import Change, Failure, Outcome, Skip
from fieldstone.runtime.course import Course
from fieldstone.runtime.courses.current import current_course
from fieldstone.store.places import key_text
from fieldstone.store.states import States

log = logging.getLogger(__name__)

NOBODY = 0
"""The number of no account."""


@dataclass(frozen=True)
class BlockKind(Kind):
    """A kind that builds the block of each learner."""

    states_to_a_chunk = 100

    @abstractmethod
    def act(self, block: XBlock) -> str:
        """Do it to a learner's block; what was done, ``""`` for a learner who is skipped. May raise anything."""

    def places(self, usage_key: UsageKey) -> list[UsageKey]:
        return places_of(current_course(), usage_key)

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        course = current_course()
        places = frozenset(key_text(key) for key in places_of(course, chunk.usage_key))
        users = get_user_model().objects.in_bulk(list(chunk.states))
        for learner_id, states in chunk.states.items():
            user = users.get(learner_id)
            if user is None:
                yield learner_id, Failure("There is no such account any more.")
            else:
                yield learner_id, self._outcome(course, chunk.usage_key, user, places, states, task)

    def block_of_nobody(self, usage_key: UsageKey) -> XBlock:
        """The block as somebody would see it who was never there."""
        nobody = get_user_model()(pk=NOBODY)
        course = current_course()
        places = frozenset(key_text(key) for key in places_of(course, usage_key))
        return TaskRuntime(course, nobody, Prefetched(NOBODY, places, States()), Task()).get_block(usage_key)

    def _outcome(
        self, course: Course, usage_key: UsageKey, user: Any, places: frozenset[str], states: States, task: Task
    ) -> Outcome:
        prefetched = Prefetched(user.pk, places, states)
        runtime = TaskRuntime(course, user, prefetched, task)
        try:
            with runtime.saving():
                block = runtime.get_block(usage_key)
                done = self.act(block)
                block.save()
        except (OperationalError, InterfaceError):  # the database's trouble is no learner's: it is tried again
            raise
        except Exception as error:  # whatever a block raises: it is this learner's alone
            # Its words may be what the learner wrote: they are in the job's notes, and not in the log.
            log.warning("%s of %s failed for learner %s: %s", self.name, usage_key, user.pk, type(error).__name__)
            log.debug("It came from here", exc_info=True)
            return Failure(f"{type(error).__name__}: {error}")
        if not done or prefetched.save is None:
            return Skip()
        return Change(prefetched.save, done, runtime.events)
