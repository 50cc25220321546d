"""A course as text: what one process has read, the others need not read again. JSON, never pickles."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey, UsageKey

from fieldstone.runtime.course import Course, CourseBlock

FORMAT = 1
"""Of the text; raised when it changes."""

_KEY = "$usage_key"


class NotASnapshotError(Exception):
    """The text is no snapshot, or one of another format."""


class NotStorableError(Exception):
    """The course cannot be written as JSON: a block has a value that would come back as another one."""


def as_text(course: Course) -> str:
    """Raises ``NotStorableError`` naming the block."""
    places = {id(block): index for index, block in enumerate(course.blocks.values())}
    data = {
        "format": FORMAT,
        "key": str(course.key),
        "blocks": [_row(block, places, course) for block in course.blocks.values()],
        "problems": course.problems,
        "policy": course.policy,
        "grading_policy": course.grading_policy,
        "keeps_files": course.keeps_files,
    }
    try:
        return json.dumps(data, separators=(",", ":"))
    except RecursionError as error:
        raise NotStorableError("policy.json or grading_policy.json: nested too deeply") from error


def _row(block: CourseBlock, places: dict[int, int], course: Course) -> list[Any]:
    try:
        authored = json.dumps(block.authored, default=_plain)
        # Not all that JSON can write comes back the same: keys that are no texts, tuples, what looks like a key.
        read = _with_keys(json.loads(authored), course.key, course.blocks)
        if not _is_same(block.authored, read):
            raise NotStorableError(f"{block.usage_key}: a value that would come back as another")
    except (TypeError, ValueError, RecursionError, InvalidKeyError) as error:
        raise NotStorableError(f"{block.usage_key}: {type(error).__name__}: {error}") from error
    return [
        block.block_type,
        block.usage_key.block_id,
        None if block.parent is None else places[id(block.parent)],
        block.title,
        json.loads(authored),
        block.inheritable,
        block.unavailable,
    ]


def _is_same(value: Any, other: Any) -> bool:
    if type(value) is not type(other):
        return False
    if isinstance(value, dict):
        # In their order: Python keeps it, and blocks show it.
        same_names = _is_same(list(value), list(other))
        return same_names and all(_is_same(value[name], other[name]) for name in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(_is_same, value, other))
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(other)
    return bool(value == other)


def _plain(value: Any) -> Any:
    if isinstance(value, UsageKey):
        return {_KEY: [value.block_type, value.block_id]}
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def from_text(text: str, folder: Path) -> Course:
    """The course of a snapshot. Raises ``NotASnapshotError``."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise NotASnapshotError(f"format {data['format']}")
        return _course(data, folder)
    except NotASnapshotError:
        raise
    except Exception as error:  # whatever a damaged text leads to, the course can still be read
        raise NotASnapshotError(f"{type(error).__name__}: {error}") from error


def _course(data: dict[str, Any], folder: Path) -> Course:
    key = CourseKey.from_string(data["key"])
    blocks: list[CourseBlock] = []
    for block_type, block_id, parent_place, title, authored, inheritable, unavailable in data["blocks"]:
        usage_key = key.make_usage_key(block_type, block_id)
        parent = None if parent_place is None else blocks[parent_place]
        block = CourseBlock(usage_key, block_type, parent, title, [], authored, inheritable, unavailable)
        blocks.append(block)
        if parent is not None:
            parent.children.append(block)
    by_key = {str(block.usage_key): block for block in blocks}
    for block in blocks:
        block.authored = {name: _with_keys(value, key, by_key) for name, value in block.authored.items()}
    return Course(
        key,
        folder,
        blocks[0],
        by_key,
        data["problems"],
        data["policy"],
        data["grading_policy"],
        data["keeps_files"],
    )


def _with_keys(value: Any, key: Any, blocks: dict[str, CourseBlock]) -> Any:
    """The value with its usage keys, the very objects of the blocks where they are blocks."""
    if isinstance(value, list):
        return [_with_keys(item, key, blocks) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_KEY}:
        usage_key = key.make_usage_key(*value[_KEY])
        known = blocks.get(str(usage_key))
        return usage_key if known is None else known.usage_key
    return {name: _with_keys(item, key, blocks) for name, item in value.items()}
