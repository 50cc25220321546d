"""A block for a task: of one learner, whose fields are at hand, with no request and no page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.urls import reverse
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlock

from fieldstone import conf
from fieldstone.jobs.kinds.base import Task
from fieldstone.jobs.tracking import track
from fieldstone.runtime.course import Course
from fieldstone.runtime.events import Event
from fieldstone.runtime.runtime import CourseRuntime
from fieldstone.runtime.services.xqueue import signature
from fieldstone.runtime.wiring import Viewer
from fieldstone.store import Store
from fieldstone.store.bulk import LearnerSave
from fieldstone.store.places import ExpectedRevisions
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Wanted
from fieldstone.store.states import Receipt, States
from fieldstone.xblock.declared import COMPLETION, aside_key
from fieldstone.xblock.field_data_cache import FieldDataCache


def places_of(course: Course, usage_key: UsageKey) -> list[UsageKey]:
    """The states that a block needs: its own, those below it, and those of their asides and completions."""
    block = course.block(usage_key)
    return with_asides([each.usage_key for each in (block, *block.descendants())])


def with_asides(usage_keys: Sequence[UsageKey]) -> list[UsageKey]:
    """The keys, and those of the blocks' asides and completions."""
    aside_types = [*conf.asides(), COMPLETION]
    return [*usage_keys, *(aside_key(key, aside_type) for key in usage_keys for aside_type in aside_types)]


@dataclass
class Prefetched:
    """What a cache reads from and saves to in a task: the chunk's states, and a save for the chunk's end."""

    learner_id: int
    places: frozenset[str]  # what was read of the chunk, by the texts of the keys
    states: States
    save: LearnerSave | None = field(default=None, init=False)

    def read(self, learner: Any, places: Wanted) -> States:
        """From the chunk; what it has not, such as fields of all blocks of a type, from the store."""
        rest = Wanted(
            {text: key for text, key in places.usages.items() if text not in self.places},
            places.summaries,
            places.preferences,
            places.user_info,
        )
        found = Store().read(self.learner_id, rest) if rest else States(places.usages, places.summaries)
        for text in places.usages.keys() & self.places & self.states.usages.keys():
            found.usages[text] = self.states.usages[text]
        return found

    def save_plan(
        self, learner: Any, plan: Plan, *, expected: ExpectedRevisions | None = None, origin: str = ""
    ) -> Receipt:
        """Keep it for the chunk's save."""
        self.save = LearnerSave(self.learner_id, plan, expected or {})
        return Receipt(States(), timezone.now())


@dataclass(frozen=True)
class TaskViewer(Viewer):
    """A learner whom nobody looks at: a task works for them."""

    prefetched: Prefetched | None = None

    def fields(self, course_key: CourseKey, asides: Iterable[str], origin: str) -> FieldDataCache:
        return FieldDataCache([], course_key, self.user, asides=asides, origin=origin, backing=self.prefetched)


class TaskUrls:
    """There is no page: what blocks link to is shown to nobody. External graders answer to the site itself."""

    def __init__(self, callback_prefix: str) -> None:
        self._callback_prefix = callback_prefix

    def handler(
        self, usage_key: UsageKey, name: str, suffix: str, query: str, *, is_preview: bool, thirdparty: bool
    ) -> str:
        return f"/{name}"

    def resource(self, block_type: str, uri: str) -> str:
        return f"/{uri}"

    def asset(self, name: str) -> str:
        return f"/static/{name}"

    def jump(self, block_id: str) -> str | None:
        return None

    def grader(self, usage_key: UsageKey, user_id: int, dispatch: str) -> str:
        """With scheme and host, where the job was asked for by a request; the workbench's page."""
        proof = signature(usage_key, user_id, dispatch)
        path = reverse("workbench:xqueue", args=[proof, str(usage_key), user_id, dispatch])
        return self._callback_prefix.rstrip("/") + path


class TaskRuntime(CourseRuntime):
    """The runtime of one learner in a task; what is published waits in ``events`` until it is saved."""

    def __init__(self, course: Course, user: Any, prefetched: Prefetched, task: Task) -> None:
        self.task = task
        self.grade_bucket_type = task.grade_bucket_type
        self.prefetched = prefetched
        self.events: list[Callable[[], None]] = []
        super().__init__(
            course,
            TaskViewer(user, prefetched=prefetched),
            TaskUrls(task.callback_prefix),
            error_card=_no_card,
            origin=f"job:{task.job_id}",
        )

    def send(self, event: Event) -> None:
        self.events.append(event.send_after_commit)
        self.events.append(partial(track, self.task, event.user, event.event_type, event.event, event.usage_key))

    def track_function(self, event_type: str, event: Any) -> None:
        """Record an event that is of no block, with what is known of the request and of the task."""
        self.events.append(partial(track, self.task, self.user, event_type, event))


def _no_card(block: XBlock, error: Exception) -> str:
    raise error
