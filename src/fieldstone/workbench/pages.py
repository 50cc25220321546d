"""Putting a unit's page together from its blocks' fragments."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment, FragmentResource
from xblock.core import XBlock

from fieldstone.runtime.course import Course, CourseBlock
from fieldstone.runtime.resources import without_remote_imports
from fieldstone.runtime.runtime import VIEWS, CourseRuntime
from fieldstone.runtime.services import explanation, xqueue
from fieldstone.runtime.structure import BlockUnavailableError
from fieldstone.runtime.turns import in_turn
from fieldstone.runtime.wiring import Viewer
from fieldstone.workbench import signatures
from fieldstone.workbench.courses import cards_of, unit_url, units_of

log = logging.getLogger(__name__)

ON_EVERY_PAGE = ("font-awesome", "jquery", "underscore", "mathjax")
"""Libraries that blocks load from other hosts and that every unit page has already, served from here."""


class WorkbenchUrls:
    """Where the workbench serves what blocks link to: ``fieldstone.runtime.runtime.Urls``.

    ``base_url``: scheme and host of the site, put before what is for callers from elsewhere.
    """

    def __init__(self, course: Course, base_url: str = "") -> None:
        self._course = course
        self._base_url = base_url
        self._pages: dict[str, str] | None = None

    def handler(
        self, usage_key: UsageKey, name: str, suffix: str, query: str, *, is_preview: bool, thirdparty: bool
    ) -> str:
        key = str(usage_key)
        if thirdparty:
            url = self._base_url + reverse("workbench:signed_handlers", args=[signatures.of(key), key])
        else:
            url = reverse("workbench:preview_handlers" if is_preview else "workbench:handlers", args=[key])
        url += name
        if suffix:
            url += "/" + quote(suffix)
        return f"{url}?{query}" if query else url

    def resource(self, block_type: str, uri: str) -> str:
        return reverse("workbench:resource", args=[block_type, uri])

    def asset(self, name: str) -> str:
        return reverse("workbench:asset", args=[name])

    def jump(self, block_id: str) -> str | None:
        if self._pages is None:
            self._pages = {
                block.usage_key.block_id: unit_url(unit)
                for unit in units_of(self._course)
                for block in (unit, *unit.descendants())
            }
        return self._pages.get(block_id)

    def grader(self, usage_key: UsageKey, user_id: int, dispatch: str) -> str:
        proof = xqueue.signature(usage_key, user_id, dispatch)
        return reverse("workbench:xqueue", args=[proof, str(usage_key), user_id, dispatch])


def runtime_for(course: Course, viewer: Viewer, origin: str, base_url: str = "") -> CourseRuntime:
    """The runtime of one request; what is saved through it bears ``origin`` in its history."""
    return CourseRuntime(course, viewer, WorkbenchUrls(course, base_url), error_card=error_card, origin=origin)


_RAISED = "It raised an error. The rest of the page is not affected."
_NOT_HERE = "It asks for something that only Open edX's platform does. The rest of the page is not affected."


def error_card(block: XBlock, error: Exception) -> str:
    """What stands in the place of a block that cannot be shown."""
    expected = isinstance(error, BlockUnavailableError)
    missing = explanation(block.runtime, block, error)
    return render_to_string(
        "workbench/error_card.html",
        {
            "title": "This block cannot be shown",
            "summary": str(error) if expected else missing or _summary(error),
            "detail": "" if expected or not settings.DEBUG else "".join(traceback.format_exception(error)),
            "usage_key": block.scope_ids.usage_id,
        },
    )


def _summary(error: Exception) -> str:
    return _NOT_HERE if isinstance(error, NotImplementedError) else _RAISED


@dataclass(frozen=True)
class RenderedBlock:
    """A card of the page."""

    title: str
    block_type: str
    usage_key: str
    state_url: str
    html: SafeString


@dataclass(frozen=True)
class Link:
    title: str
    url: str


@dataclass(frozen=True)
class UnitPage:
    """All that the template of a unit needs."""

    unit: Link
    breadcrumbs: list[str]
    previous: Link | None
    next: Link | None
    blocks: list[RenderedBlock]
    head_html: SafeString
    foot_html: SafeString


@dataclass(frozen=True)
class BlockPage:
    """All that the template of one block's view needs."""

    shown: RenderedBlock
    view_name: str
    views: list[Link]
    unit: Link
    head_html: SafeString
    foot_html: SafeString


def block_page(
    course: Course, block: CourseBlock, unit: CourseBlock, viewer: Viewer, view_name: str, base_url: str
) -> BlockPage:
    """One block in any of its views."""
    rendered = _rendered(course, [block], viewer, view_name, base_url)
    resources = _resources_of(rendered)
    return BlockPage(
        shown=_card(block, rendered[0][1]),
        view_name=view_name,
        views=[Link(name, reverse("workbench:block", args=[str(block.usage_key), name])) for name in VIEWS],
        unit=_link(unit),
        head_html=_resources_html(resources, "head"),
        foot_html=_resources_html(resources, "foot"),
    )


def _rendered(
    course: Course, blocks: Sequence[CourseBlock], viewer: Viewer, view_name: str, base_url: str
) -> list[tuple[CourseBlock, Fragment]]:
    """The blocks in a view: their fields in a query a scope, and what views changed in one save.

    In turn: of two pages that are opened at once both show the seed that is stored.
    """

    def shown(runtime: CourseRuntime) -> list[tuple[CourseBlock, Fragment]]:
        runtime.prefetch_all([block.usage_key for block in blocks])
        return [(block, runtime.get_block(block.usage_key).render(view_name, {})) for block in blocks]

    return in_turn(partial(runtime_for, course, viewer, f"view:{view_name}", base_url), shown)


def _resources_of(rendered: Iterable[tuple[CourseBlock, Fragment]]) -> list[FragmentResource]:
    return list(dict.fromkeys(resource for _, fragment in rendered for resource in fragment.resources))


def unit_page(course: Course, unit: CourseBlock, viewer: Viewer, base_url: str) -> UnitPage:
    """The page of a unit for a learner or visitor."""
    rendered = _rendered(course, cards_of(unit), viewer, "student_view", base_url)
    resources = _resources_of(rendered)
    units = list(units_of(course))
    position = next(index for index, other in enumerate(units) if other is unit)
    return UnitPage(
        unit=_link(unit),
        breadcrumbs=_titles_above(unit),
        previous=_link(units[position - 1]) if position > 0 else None,
        next=_link(units[position + 1]) if position + 1 < len(units) else None,
        blocks=[_card(block, fragment) for block, fragment in rendered],
        head_html=_resources_html(resources, "head"),
        foot_html=_resources_html(resources, "foot"),
    )


def _link(unit: CourseBlock) -> Link:
    return Link(unit.title, unit_url(unit))


def _titles_above(unit: CourseBlock) -> list[str]:
    titles: list[str] = []
    above = unit.parent
    while above is not None and above.parent is not None:
        titles.insert(0, above.title)
        above = above.parent
    return titles


def _card(block: CourseBlock, fragment: Fragment) -> RenderedBlock:
    key = str(block.usage_key)
    # A block's HTML is its author's, and trusted as the course is; what it may do is up to the page's policy.
    html = mark_safe(fragment.body_html())  # noqa: S308
    return RenderedBlock(block.title, block.block_type, key, reverse("workbench:state", args=[key]), html)


def _resources_html(resources: Iterable[FragmentResource], placement: str) -> SafeString:
    """The tags for styles and scripts, in their order."""
    parts = [_resource_html(resource) for resource in resources if resource.placement == placement]
    return mark_safe("\n".join(filter(None, parts)))  # noqa: S308  # what is a URL is escaped below


def _resource_html(resource: FragmentResource) -> str:
    if resource.kind == "text":
        tag = {"text/css": "style", "application/javascript": "script"}.get(resource.mimetype)
        text = without_remote_imports(resource.data) if tag == "style" else resource.data
        return f"<{tag}>{text}</{tag}>" if tag else text
    host = urlsplit(resource.data).netloc
    if host:
        if not any(name in resource.data for name in ON_EVERY_PAGE):
            log.warning("A block wants %s; pages load nothing from other hosts, so it is left out", resource.data)
        return ""
    if resource.mimetype == "text/css":
        return format_html('<link rel="stylesheet" href="{}">', resource.data)
    return format_html('<script src="{}"></script>', resource.data)
