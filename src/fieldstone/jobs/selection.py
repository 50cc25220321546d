"""What a job is over: a block, a block with all below it, or a course."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone.errors import NoSuchBlockError
from fieldstone.jobs.blocks import with_asides
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds import KINDS
from fieldstone.runtime.course import Course
from fieldstone.runtime.courses.current import current_course
from fieldstone.store import Store
from fieldstone.store.engines import engine_of
from fieldstone.store.engines.walk import read_usages
from fieldstone.store.places import context_text, parse_key
from fieldstone.store.tables import CONTEXT, USAGE
from fieldstone.store.usages import KeyTable


@dataclass(frozen=True)
class Selection:
    """Blocks of one learning context."""

    context: LearningContextKey
    usage_keys: list[UsageKey]
    description: dict[str, Any]  # as it was asked for


def select(
    kind: str, *, block: str | None = None, subtree: str | None = None, course: str | None = None
) -> Selection:
    """The blocks that are named, by keys' texts; of a subtree or a course those that the kind can be done at.

    For a kind whose scope is what is stored, asides and completions come with their blocks, and with a course what
    it has no more.

    Raises ``JobRefusedError`` unless one of the three is named, and for a block or course that there is not.
    """
    if kind not in KINDS:
        raise JobRefusedError(f"There is no job {kind!r}. There are {', '.join(sorted(KINDS))}.")
    named = {name: text for name, text in {"block": block, "subtree": subtree, "course": course}.items() if text}
    if len(named) != 1:
        raise JobRefusedError("Name one of a block, a subtree and a course.")
    found = current_course()
    if course is not None and course != str(found.key):
        raise JobRefusedError(f"There is no course {course}; the site has {found.key}.")
    if course is not None and KINDS[kind].scope == "stored":
        return Selection(found.key, _stored(found.key), named)
    if block is not None:
        keys = [_block(found, block)]
    else:
        around = found.block(_block(found, subtree) if subtree else found.root.usage_key)
        keys = [each.usage_key for each in (around, *around.descendants()) if _is_possible(kind, each.usage_key)]
    if not keys:
        raise JobRefusedError(f"{kind} cannot be done at any block there.")
    return Selection(found.key, with_asides(keys) if KINDS[kind].scope == "stored" else keys, named)


def _stored(context: LearningContextKey) -> list[UsageKey]:
    using = Store().using
    ids = KeyTable(CONTEXT, using).find([context_text(context)])
    with connections[using].cursor() as cursor:
        usage_ids = [each for id_ in ids.values() for each in read_usages(cursor, id_)]
        texts = engine_of(connections[using]).select_keys(cursor, USAGE, usage_ids)
    return [parse_key(text) for _, text in sorted(texts.items())]


def _block(course: Course, text: str) -> UsageKey:
    try:
        return course.block(text).usage_key
    except NoSuchBlockError as error:
        raise JobRefusedError(f"The course {course.key} has no block {text}.") from error


def _is_possible(kind: str, usage_key: UsageKey) -> bool:
    try:
        KINDS[kind].check_blocks([usage_key])
    except JobRefusedError:
        return False
    return True
