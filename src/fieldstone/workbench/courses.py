"""The course that the workbench has open, and its outline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from fieldstone.errors import NoSuchBlockError
from fieldstone.runtime.course import Course, CourseBlock
from fieldstone.runtime.courses.current import course_source, current_course, reload_course
from fieldstone.runtime.structure import PLAIN
from fieldstone.store.store import Store

__all__ = ["course_source", "current_course", "reload_course"]  # beside what is below


@dataclass(frozen=True)
class Unit:
    """A page of blocks in the outline."""

    title: str
    url: str
    block_types: list[str]
    block_count: int
    saved: int  # blocks in it with stored state of the learner


@dataclass(frozen=True)
class Section:
    title: str
    units: list[Unit]


@dataclass(frozen=True)
class Chapter:
    title: str
    sections: list[Section]


def units_of(course: Course) -> Iterator[CourseBlock]:
    """All units in the course's order: what stands in a section, whether a vertical or a block alone.

    The units of a library are its blocks.
    """
    for _, sections in _chapters(course):
        for _, units in sections:
            yield from units


def _chapters(course: Course) -> list[tuple[str, list[tuple[str, list[CourseBlock]]]]]:
    """Titles of chapters, in each titles of sections and their units; a library is one chapter of one section."""
    if course.is_library:
        return [(course.root.title, [("Blocks", course.root.children)])]
    return [
        (chapter.title, [(section.title, _inside(section)) for section in _inside(chapter)])
        for chapter in course.root.children
    ]


def _inside(block: CourseBlock) -> list[CourseBlock]:
    """What a chapter or section holds, or the block itself: what is in a ``conditional`` it alone may show."""
    return block.children if block.block_type in PLAIN else [block]


def cards_of(unit: CourseBlock) -> list[CourseBlock]:
    """The blocks that a unit's page shows, each in a card of its own: what is in a vertical, or the unit itself.

    Other blocks with children, such as pools, decide themselves what they show.
    """
    return unit.children if unit.block_type in PLAIN and unit.children else [unit]


def outline(course: Course, user: Any) -> list[Chapter]:
    """The course's chapters; one query for what the learner has stored in all its blocks."""
    keys = [block.usage_key for block in course.root.descendants()]
    stored = set()
    if user.is_authenticated:
        stored = {str(place) for place, state in Store().read(user, keys).items() if state.fields}
    return [
        Chapter(
            chapter, [Section(section, [_unit(unit, stored) for unit in units]) for section, units in sections]
        )
        for chapter, sections in _chapters(course)
    ]


def _unit(unit: CourseBlock, stored: set[str]) -> Unit:
    blocks = [block for block in (unit, *unit.descendants()) if block is not unit or not unit.children]
    return Unit(
        title=unit.title,
        url=unit_url(unit),
        block_types=list(dict.fromkeys(block.block_type for block in blocks)),
        block_count=len(blocks),
        saved=sum(str(block.usage_key) in stored for block in blocks),
    )


def unit_url(unit: CourseBlock) -> str:
    return reverse("workbench:unit", args=[str(unit.usage_key)])


def unit_with(course: Course, usage_key: str) -> CourseBlock:
    """The unit that a block is in, or the block itself when it is one. Raises ``NoSuchBlockError``."""
    units = {str(unit.usage_key) for unit in units_of(course)}
    block: CourseBlock | None = course.block(usage_key)
    while block is not None and str(block.usage_key) not in units:
        block = block.parent
    if block is None:
        raise NoSuchBlockError(usage_key)
    return block
