"""What services need of the runtime they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock

from fieldstone.runtime.course import Course
from fieldstone.runtime.wiring import Viewer


class HostUrls(Protocol):
    """Where a host serves what services link to."""

    def asset(self, name: str) -> str:
        """A file in the course's ``static`` folder."""

    def jump(self, block_id: str) -> str | None:
        """The page of a block; ``None`` when the course has none of that id."""

    def grader(self, usage_key: UsageKey, user_id: int, dispatch: str) -> str:
        """The path that an external grader posts its answer to, signed."""


class LearnerState(Protocol):
    """What is stored of the learner whom the runtime is for."""

    def completions(self, usage_keys: Iterable[UsageKey]) -> Mapping[UsageKey, float]:
        """How far these blocks are completed, 0.0 to 1.0; those without a completion are not in it."""


class Host(Protocol):
    """A runtime of one course and one learner."""

    course: Course
    viewer: Viewer
    user: Any
    """A registered user, ``AnonymousUser`` for a visitor, ``None`` for nobody."""
    urls: HostUrls
    is_author: bool
    """Is this the preview of an author?"""
    learner_state: LearnerState

    def anonymous_id(self, course: str) -> str:
        """An id that does not tell who the learner is; always the same for a learner and a course's key."""

    def publish(self, block: XBlock, event_type: str, event_data: dict[str, Any]) -> None:
        """As XBlock has it."""

    def rebound_to(self, user: Any) -> Host:
        """A runtime of the same course and request for another learner."""


def account_of(host: Host) -> Any | None:
    """The Django user for whom the runtime is; ``None`` for visitors and nobody, who have no account."""
    user = host.user
    return user if user is not None and user.is_authenticated else None
