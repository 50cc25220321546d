"""What a kind of job is."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import islice
from typing import Any, ClassVar, Literal, Self

from opaque_keys.edx.keys import UsageKey

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.models import Job, Part
from fieldstone.jobs.outcomes import Outcome
from fieldstone.store.states import NO_STATE, State, States

UNKNOWN_TASK_ID = "unknown-task_id"
"""Of work that no task queue has given a number; the word is Open edX's, by which its logs are searched."""


def option(help: str, default: Any = MISSING) -> Any:
    """A field of a kind that people set: a ``bool``, ``int``, ``float`` or ``str``; with no default they must."""
    return field(default=default, metadata={"help": help})


def _is_of_type(annotation: Any, value: Any) -> bool:
    """Whether a value that came as JSON is of an option's type."""
    name = getattr(annotation, "__name__", annotation)
    if name == "float" and type(value) is int:
        return abs(value) <= sys.float_info.max
    return name not in ("bool", "int", "float", "str") or type(value).__name__ == name


@dataclass(frozen=True)
class Task:
    """What a kind knows of the job that it works for."""

    job_id: int | None = None
    task_id: str = UNKNOWN_TASK_ID
    requested_by: int | None = None
    request_info: Mapping[str, Any] = field(default_factory=dict)
    callback_prefix: str = ""  # scheme and host that external graders answer to
    grade_bucket_type: str = ""  # the action, by which a site tells grades of tasks from those of learners

    @classmethod
    def of(cls, job: Job, task_id: str = UNKNOWN_TASK_ID) -> Self:
        return cls(job.pk, task_id, job.requested_by, job.request_info, job.callback_prefix, job.kind)


@dataclass(frozen=True)
class Chunk:
    """Some learners' states at one block, and at what else the kind asks for, in the order of their ids."""

    usage_key: UsageKey
    states: Mapping[int, States]

    def items(self) -> Iterator[tuple[int, State]]:
        """Learners' ids, and their states at the block itself; ``NO_STATE`` for none."""
        for learner_id, states in self.states.items():
            yield learner_id, states.get(self.usage_key, NO_STATE)

    def first(self, number: int) -> Chunk:
        """The first so many learners of it."""
        return Chunk(self.usage_key, dict(islice(self.states.items(), number)))


@dataclass(frozen=True)
class Kind(ABC):
    """A kind of job; its options are the fields of its dataclass, and its docstring's first line its help."""

    name: ClassVar[str]
    action_name: ClassVar[str]
    """What is said of a learner for whom it succeeded, as Open edX's tasks say it: ``reset``, ``deleted``."""
    scope: ClassVar[Literal["course", "stored"]] = "course"
    """What a course is to it: its blocks as they are now; or whatever is stored in the learning context, also of
    asides, of completions, and of blocks that the course has no more."""
    needs_state: ClassVar[bool] = True
    """Whether learners who are named are passed over at blocks where nothing is stored of any of them."""
    states_to_a_chunk: ClassVar[int] = 1000
    writes: ClassVar[bool] = True
    """Whether it saves anything: a kind that only looks waits for no other job, and cannot be undone."""
    closes: ClassVar[bool] = False
    """Whether ``close`` is to be called."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """With options as they were stored. Raises ``JobRefusedError``."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(options.keys() - set(known))
        if unknown:
            there_are = f"There are {', '.join(known)}." if known else "It has none."
            raise JobRefusedError(f"{cls.name} has no option {unknown[0]!r}. {there_are}")
        missing = [each.name for each in fields(cls) if each.default is MISSING and each.name not in options]
        if missing:
            raise JobRefusedError(f"{cls.name} needs the option {missing[0]!r}.")
        try:
            made = cls(**options)  # first: a kind's own words for what is wrong are better
        except (TypeError, OverflowError) as error:
            raise JobRefusedError(f"An option of {cls.name} is of the wrong type: {error}.") from error
        for each in fields(cls):
            if each.name in options and not _is_of_type(each.type, options[each.name]):
                raise JobRefusedError(
                    f"The option {each.name!r} of {cls.name} is a {each.type}, and not {options[each.name]!r:.60}."
                )
        return made

    @classmethod
    def check_blocks(cls, usage_keys: Sequence[UsageKey]) -> None:
        """Raises ``JobRefusedError`` for blocks that it cannot be done at, before anything starts."""
        return

    def check(self, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> None:
        """The same of its options, and of the learners that it is for (all: ``None``)."""
        return

    def places(self, usage_key: UsageKey) -> list[UsageKey]:
        """The states that it looks at of each learner, at a block: read in one query for a whole chunk."""
        return [usage_key]

    @abstractmethod
    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        """What becomes of each learner, in the order of the chunk. It writes nothing, and may be asked again.

        A worker may stop to ask in the middle of a chunk, and write what it has.
        """

    def lay_down(self, chunk: Chunk, outcomes: Mapping[int, Outcome], part: Part) -> list[str]:
        """Write what belongs to the chunk beside the database; the names of it, which are added to ``part.kept``.

        Called in the chunk's transaction while the part is locked, just before the commit, and again for the same
        learners where that did not come about: what is not in ``part.kept`` is to be passed over. Never in a dry
        run. Whatever it raises pauses the job, which says so, and can be resumed.
        """
        return []

    def close(self, job: Job, still_here: Callable[[], None]) -> dict[str, Any]:
        """Called once all parts are done, and again where a worker vanished in it; what is kept as ``job.result``.

        ``still_here()`` renews the lease: to be called every few seconds. Whatever it raises pauses the job, which
        says so, and can be resumed.
        """
        return {}
