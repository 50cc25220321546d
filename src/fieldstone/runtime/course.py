"""A course as it was read: immutable, shared by all requests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import LibraryLocator
from xblock.core import XBlock
from xblock.field_data import FieldData

from fieldstone.errors import NoSuchBlockError


@dataclass(repr=False)
class CourseBlock:
    """One block of a course."""

    usage_key: UsageKey
    block_type: str
    parent: CourseBlock | None
    title: str
    children: list[CourseBlock] = field(default_factory=list)
    authored: dict[str, Any] = field(default_factory=dict)  # field name -> value as the field's JSON form
    inheritable: dict[str, Any] = field(default_factory=dict)  # settings that descendants take as their defaults
    unavailable: str = ""  # why the block cannot be loaded

    def __repr__(
        self,
    ) -> str:  # short: a block leads to its whole course, and Django's error page shows every local
        return f"CourseBlock({self.usage_key})"

    def descendants(self) -> Iterator[CourseBlock]:
        """All blocks below this one, in the course's order."""
        for child in self.children:
            yield child
            yield from child.descendants()


@dataclass(repr=False)
class Course:
    """A course of blocks, or a library of them."""

    key: CourseKey  # of a library too: XBlock's keys take libraries for a kind of course
    folder: Path
    root: CourseBlock
    blocks: dict[str, CourseBlock]  # by the text of the usage key: a key in a URL need not be parsed
    problems: list[str]  # what could not be loaded, and what puts state at risk: file, line and why
    policy: dict[str, Any] = field(default_factory=dict)  # policy.json: settings by type/url_name
    grading_policy: dict[str, Any] = field(default_factory=dict)  # grading_policy.json: GRADER, GRADE_CUTOFFS
    keeps_files: bool = False  # whether a block, as it read its OLX, put files into Django's default storage

    @property
    def is_library(self) -> bool:
        return isinstance(self.key, LibraryLocator)

    def __repr__(self) -> str:
        return f"Course({self.key}, {len(self.blocks)} blocks)"

    def block(self, usage_key: UsageKey | str) -> CourseBlock:
        """The block of this key. Raises ``NoSuchBlockError``."""
        try:
            return self.blocks[str(usage_key)]
        except KeyError:
            raise NoSuchBlockError(usage_key) from None


class AuthoredFieldData(FieldData):  # type: ignore[misc]  # xblock publishes no types
    """What the course's author wrote: ``content``, ``settings``, ``parent`` and ``children``.

    A setting that a block does not have comes from the nearest ancestor that has it.
    """

    def __init__(self, blocks: dict[str, CourseBlock]) -> None:
        self._blocks = blocks

    def _fields(self, block: XBlock) -> dict[str, Any]:
        return self._blocks[str(block.scope_ids.usage_id)].authored

    def get(self, block: XBlock, name: str) -> Any:
        return copy.deepcopy(self._fields(block)[name])  # the course is shared: nobody may change it in place

    def has(self, block: XBlock, name: str) -> bool:
        return name in self._fields(block)

    def set(self, block: XBlock, name: str, value: Any) -> None:
        self._fields(block)[name] = copy.deepcopy(value)

    def delete(self, block: XBlock, name: str) -> None:
        del self._fields(block)[name]

    def default(self, block: XBlock, name: str) -> Any:
        above = self._blocks[str(block.scope_ids.usage_id)].parent
        while above is not None:
            if name in above.inheritable:
                return copy.deepcopy(above.inheritable[name])
            above = above.parent
        raise KeyError(name)
