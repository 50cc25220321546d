"""Usage keys serve as definition keys too: in OLX each block is defined where it is used."""

from __future__ import annotations

from typing import Any

from opaque_keys.edx.asides import AsideDefinitionKeyV2, AsideUsageKeyV2
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.runtime import IdGenerator, IdReader


class CourseIds(IdReader, IdGenerator):  # type: ignore[misc]  # xblock publishes no types
    """XBlock's id reader and generator for one course."""

    def __init__(self, course_key: CourseKey) -> None:
        self._course_key = course_key

    def get_definition_id(self, usage_id: UsageKey) -> UsageKey:
        return usage_id

    def get_block_type(self, def_id: UsageKey) -> str:
        return def_id.block_type

    def get_usage_id_from_aside(self, aside_id: Any) -> UsageKey:
        return aside_id.usage_key  # type: ignore[no-any-return]

    def get_definition_id_from_aside(self, aside_id: Any) -> UsageKey:
        return aside_id.definition_key  # type: ignore[no-any-return]

    def get_aside_type_from_usage(self, aside_id: Any) -> str:
        return str(aside_id.aside_type)

    def get_aside_type_from_definition(self, aside_id: Any) -> str:
        return str(aside_id.aside_type)

    def create_aside(self, definition_id: UsageKey, usage_id: UsageKey, aside_type: str) -> tuple[Any, Any]:
        # Abstract and untyped only to mypy: the keys' fields fill their properties.
        definition: Any = AsideDefinitionKeyV2
        usage: Any = AsideUsageKeyV2
        return definition(definition_id, aside_type), usage(usage_id, aside_type)

    def create_usage(self, def_id: UsageKey) -> UsageKey:
        return def_id

    def create_definition(self, block_type: str, slug: str | None = None) -> UsageKey:
        return self._course_key.make_usage_key(block_type, slug or block_type)
