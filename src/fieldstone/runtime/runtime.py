"""``CourseRuntime``: runs the blocks of one course for one learner, for as long as one request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Protocol

from django.utils.html import format_html, format_html_join
from fs.osfs import OSFS
from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment
from xblock.core import XBlock
from xblock.field_data import ReadOnlyFieldData, SplitFieldData
from xblock.fields import Scope, ScopeIds
from xblock.runtime import KvsFieldData, Runtime

from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.course import AuthoredFieldData, Course
from fieldstone.runtime.ids import CourseIds
from fieldstone.runtime.inheritance import InheritedSettings
from fieldstone.runtime.services import LearnerService, ReplaceUrlsService, stateless_services
from fieldstone.runtime.structure import BlockUnavailableError, UnavailableBlock
from fieldstone.store import Grade, Store
from fieldstone.xblock.field_data_cache import FieldDataCache
from fieldstone.xblock.key_value_store import DjangoKeyValueStore
from fieldstone.xblock.scopes import LEARNER_SCOPES

log = logging.getLogger(__name__)
events = logging.getLogger("fieldstone.events")

AUTHORED_SCOPES = (Scope.content, Scope.settings, Scope.parent, Scope.children)


class Urls(Protocol):
    """Where a host serves what blocks link to."""

    def handler(self, usage_key: UsageKey, name: str, suffix: str, query: str) -> str:
        """A handler of a block; no query string is added to the one given."""

    def resource(self, block_type: str, uri: str) -> str:
        """A file of the block's package, as ``open_local_resource`` takes it."""

    def asset(self, name: str) -> str:
        """A file in the course's ``static`` folder."""

    def jump(self, block_id: str) -> str | None:
        """The page of a block; ``None`` when the course has none of that id."""


class LearnerView:
    """Mixed into every block: to the blocks that ask their host through this attribute, nobody is staff."""

    @property
    def xmodule_runtime(self) -> Any:
        return self.runtime  # type: ignore[attr-defined]  # every block has one


class CourseRuntime(Runtime):  # type: ignore[misc]  # xblock publishes no types
    """Blocks of a course with a learner's fields; ``get_block``, ``render`` and ``handle`` are XBlock's own.

    It has no ``course_id``: blocks that find one take the runtime for Open edX and import the platform.
    """

    user_is_staff = False

    def __init__(
        self,
        course: Course,
        user: Any,
        urls: Urls,
        *,
        error_card: Callable[[XBlock, Exception], str],
        origin: str = "",
    ) -> None:
        ids = CourseIds(course.key)
        self.course = course
        self.learner = user
        self.resources_fs = OSFS(str(course.folder))
        self.field_data_cache = FieldDataCache([], course.key, user, origin=origin)
        self._urls = urls
        self._error_card = error_card
        self._replace_urls = ReplaceUrlsService(course, urls.asset, urls.jump)
        authored = ReadOnlyFieldData(AuthoredFieldData(course.blocks))
        learned = KvsFieldData(DjangoKeyValueStore(self.field_data_cache))
        services = {
            **stateless_services(),
            "field-data": SplitFieldData(
                dict.fromkeys(AUTHORED_SCOPES, authored) | dict.fromkeys(LEARNER_SCOPES, learned)
            ),
            "replace_urls": self._replace_urls,
            "user": LearnerService(user, course.key),
        }
        super().__init__(ids, ids, services=services, mixins=(InheritedSettings, LearnerView))

    # Blocks

    def get_block(self, usage_id: UsageKey, for_parent: XBlock | None = None) -> XBlock:
        """The block, with the learner's fields at hand. Raises ``NoSuchBlockError``."""
        block = self._construct(usage_id, for_parent)
        self.field_data_cache.add_blocks_to_cache([block])
        return block

    def prefetch(self, usage_id: UsageKey) -> None:
        """Fetch the fields of a block and of all below it: a query a scope, whatever their number."""
        below = self.course.block(usage_id).descendants()
        keys = [usage_id, *(block.usage_key for block in below)]
        self.field_data_cache.add_blocks_to_cache([self._construct(key, None) for key in keys])

    def _construct(self, usage_id: UsageKey, for_parent: XBlock | None) -> XBlock:
        known = self.course.block(usage_id)
        scope_ids = ScopeIds(self.learner.pk, known.block_type, usage_id, usage_id)
        try:
            cls = block_class(known.block_type)
        except BlockUnavailableError as error:
            cls = UnavailableBlock.because(str(error))
        if known.unavailable:
            cls = UnavailableBlock.because(known.unavailable)
        return self.construct_xblock_from_class(cls, scope_ids, for_parent=for_parent)

    def applicable_aside_types(self, block: XBlock) -> list[str]:
        """No asides."""
        return []

    # Rendering

    def render(self, block: XBlock, view_name: str, context: dict[str, Any] | None = None) -> Fragment:
        """The block's view; a card that says what failed when it raises, and the page lives."""
        try:
            fragment = super().render(block, view_name, context)
        except Exception as error:
            if not isinstance(error, BlockUnavailableError):
                log.exception("%s failed in its %s", block.scope_ids.usage_id, view_name)
            return Fragment(self._error_card(block, error))
        rewritten = Fragment(self._replace_urls.replace_urls(fragment.content))
        rewritten.add_fragment_resources(fragment)
        return rewritten

    def wrap_xblock(self, block: XBlock, view: str, frag: Fragment, context: dict[str, Any] | None) -> Fragment:
        """The block's HTML as direct children of an element that tells the page's script what it is."""
        known = self.course.block(block.scope_ids.usage_id)
        data = {
            "usage": str(known.usage_key),
            "usage-id": str(known.usage_key),
            "block-type": known.block_type,
            "handler-url": self._urls.handler(known.usage_key, "", "", ""),
            "name": block.name,
            "init": frag.js_init_fn,
            "runtime-version": frag.js_init_version if frag.js_init_fn else None,
        }
        arguments = ""
        if frag.json_init_args is not None:
            # "<" escaped: a "</script>" in a learner's answer must not end the element.
            text = json.dumps(frag.json_init_args).replace("<", "\\u003c")
            arguments = f'<script type="json/xblock-args" class="xblock_json_init_args">{text}</script>'
        wrapped = Fragment(
            format_html(
                '<div class="xblock xblock-v1 xblock-v1-{view} xblock-{view} xblock-{view}-{type}{more}"{data}>',
                view=view,
                type=known.block_type,
                more=_platform_classes(block),
                data=format_html_join("", ' data-{}="{}"', ((k, v) for k, v in data.items() if v is not None)),
            )
            + frag.body_html()
            + arguments
            + "</div>"
        )
        wrapped.add_fragment_resources(frag)
        return wrapped

    # What blocks ask of their host

    def handler_url(
        self, block: XBlock, handler_name: str, suffix: str = "", query: str = "", thirdparty: bool = False
    ) -> str:
        return self._urls.handler(block.scope_ids.usage_id, handler_name, suffix, query)

    def local_resource_url(self, block: XBlock, uri: str) -> str:
        return self._urls.resource(block.scope_ids.block_type, uri)

    def resource_url(self, resource: str) -> str:
        raise NotImplementedError("Resources belong to blocks: use local_resource_url.")

    def publish(self, block: XBlock, event_type: str, event_data: dict[str, Any]) -> None:
        """A grade is saved; every event goes to the log ``fieldstone.events``, without what the learner wrote.

        ``{"value": 1, "max_value": 2}`` is a grade, as XBlock's documentation of ``publish`` has it; of Open edX's
        further keys, ``only_if_higher`` is heeded.
        """
        usage_key = block.scope_ids.usage_id
        events.info("%s %s by learner %s", event_type, usage_key, self.learner.pk)
        if event_type == "grade":
            grade = Grade(event_data["value"], event_data["max_value"])
            if not event_data.get("only_if_higher") or self._is_higher(usage_key, grade):
                self.field_data_cache.save_grade(usage_key, grade)

    def _is_higher(self, usage_key: UsageKey, grade: Grade) -> bool:
        state = Store().read(self.learner, [usage_key]).get(usage_key)
        return state is None or state.grade is None or (grade.value or 0) > state.grade


def _platform_classes(block: XBlock) -> str:
    """The classes that the style sheets of the blocks extracted from Open edX start from."""
    if not getattr(block, "uses_xmodule_styles_setup", False):
        return ""
    cls = getattr(type(block), "unmixed_class", type(block))
    return f" xmodule_display xmodule_{cls.__name__}"
