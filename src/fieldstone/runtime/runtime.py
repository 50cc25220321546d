"""``CourseRuntime``: runs the blocks of one course for one viewer, for as long as one request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from fs.osfs import OSFS
from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment
from xblock.core import XBlock, XBlockAside
from xblock.exceptions import NoSuchUsage, NoSuchViewError
from xblock.field_data import SplitFieldData
from xblock.fields import Scope, ScopeIds
from xblock.runtime import KeyValueStore, KvsFieldData

from fieldstone import conf
from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.course import AuthoredFieldData, Course
from fieldstone.runtime.events import Event
from fieldstone.runtime.ids import CourseIds
from fieldstone.runtime.inheritance import InheritedSettings
from fieldstone.runtime.platform_names import CourseOfRuntime
from fieldstone.runtime.ready_classes import ReadyClasses
from fieldstone.runtime.sandbox import told_in_card
from fieldstone.runtime.services import BlockServices, anonymous_id, is_higher, published, services_for
from fieldstone.runtime.structure import BlockUnavailableError, UnavailableBlock
from fieldstone.runtime.wiring import AuthorsFields, Viewer
from fieldstone.runtime.wrapping import wrapped, wrapped_aside
from fieldstone.xblock.declared import COMPLETION, aside_key
from fieldstone.xblock.key_value_store import DjangoKeyValueStore
from fieldstone.xblock.scopes import LEARNER_SCOPES

log = logging.getLogger(__name__)

VIEWS = ("student_view", "author_view", "studio_view")
"""The views that Open edX shows blocks in: to learners, in the outline of Studio, and to edit them."""

AUTHORED_SCOPES = (Scope.content, Scope.settings, Scope.parent, Scope.children)


class Urls(Protocol):
    """Where a host serves what blocks link to."""

    def handler(
        self, usage_key: UsageKey, name: str, suffix: str, query: str, *, is_preview: bool, thirdparty: bool
    ) -> str:
        """A handler of a block or aside; no query string is added to the one given.

        ``thirdparty``: for callers from elsewhere, with scheme and host, without session or token.
        ``is_preview``: it runs in the author's preview.
        """

    def resource(self, block_type: str, uri: str) -> str:
        """A file of the block's package, as ``open_local_resource`` takes it."""

    def asset(self, name: str) -> str:
        """A file in the course's ``static`` folder."""

    def jump(self, block_id: str) -> str | None:
        """The page of a block; ``None`` when the course has none of that id."""

    def grader(self, usage_key: UsageKey, user_id: int, dispatch: str) -> str:
        """The path that an external grader posts its answer to, signed."""


class LearnerView:
    """Mixed into every block, for those that ask their host through this attribute."""

    @property
    def xmodule_runtime(self) -> Any:
        return self.runtime  # type: ignore[attr-defined]  # every block has one


class CourseRuntime(ReadyClasses, BlockServices):
    """Blocks of a course with a viewer's fields; ``get_block``, ``render`` and ``handle`` are XBlock's own.

    It has no ``course_id``: blocks that find one take the runtime for Open edX and import the platform.
    """

    def __init__(
        self,
        course: Course,
        viewer: Viewer,
        urls: Urls,
        *,
        error_card: Callable[[XBlock, Exception], str],
        origin: str = "",
    ) -> None:
        ids = CourseIds(course.key)
        self.course = course
        self.viewer = viewer
        self.user = viewer.user
        self.urls = urls
        self.resources_fs = OSFS(str(course.folder))
        self.modulestore = CourseOfRuntime(course)
        self.is_author = self.user_is_staff = viewer.is_author
        self.aside_types = conf.asides()
        self.field_data_cache = viewer.fields(course.key, [*self.aside_types, COMPLETION], origin)
        self._error_card = error_card
        self._origin = origin
        self._waiting: list[Event] | None = None
        self._saving: ExitStack | None = None
        drafts = viewer.preview_store("draft", course.key) if viewer.is_author else None
        self._authored = authored = AuthorsFields(
            AuthoredFieldData(course.blocks), drafts, lambda: self.field_data_cache.read_only
        )
        learned = KvsFieldData(DjangoKeyValueStore(self.field_data_cache))
        services = services_for(self)
        services["field-data"] = SplitFieldData(
            dict.fromkeys(AUTHORED_SCOPES, authored) | dict.fromkeys(LEARNER_SCOPES, learned)
        )
        self._replace_urls = services["replace_urls"].replace_urls
        super().__init__(ids, ids, services=services, mixins=(InheritedSettings, LearnerView))

    # Who is looking

    @property
    def user_id(self) -> Any:
        """The learner of the blocks' scope ids: the account's key, or ``None``."""
        return None if self.user is None else self.user.pk

    @user_id.setter
    def user_id(self, value: Any) -> None:
        raise AttributeError("A runtime is one viewer's for as long as it lives: make another one.")

    @property
    def anonymous_student_id(self) -> str:
        """An id of the learner in this course that does not tell who it is."""
        return self.anonymous_id(str(self.course.key))

    def anonymous_id(self, course: str) -> str:
        """The same for another course's key, or ``""`` for the whole site. A visitor's lasts as their session."""
        if self.viewer.has_account:
            # Of a preview another, by which nobody reaches what is stored of the author.
            return anonymous_id(self.user.pk, f"preview/{course}" if self.is_author else course)
        return self.viewer.pseudonym(course)

    def rebound_to(self, user: Any) -> CourseRuntime:
        """A runtime of the same request for another learner. What waits here to be saved is dropped."""
        rebound = CourseRuntime(
            self.course, Viewer(user), self.urls, error_card=self._error_card, origin=self._origin
        )
        self.field_data_cache.forget_unsaved()
        rebound.field_data_cache.read_only = self.field_data_cache.read_only
        rebound._waiting = self._waiting
        if self._saving is not None:
            self._saving.enter_context(rebound.field_data_cache.saving_at_the_end(unless_changed=True))
        return rebound

    # Blocks

    def load_block_type(self, block_type: str) -> type[XBlock]:
        """The class that serves a tag. Raises ``BlockUnavailableError`` saying what to do."""
        return block_class(block_type)

    def get_block(self, usage_id: UsageKey, for_parent: XBlock | None = None) -> XBlock:
        """The block, with the learner's fields at hand. Raises ``NoSuchBlockError``."""
        block = self._construct(usage_id, for_parent)
        self.field_data_cache.add_blocks_to_cache([block])
        return block

    def get_aside(self, aside_usage_id: Any) -> XBlockAside:
        """An aside of a block of the course. Raises ``NoSuchBlockError``, ``NoSuchUsage`` for another type."""
        self.course.block(aside_usage_id.usage_key)
        if aside_usage_id.aside_type not in self.aside_types:
            raise NoSuchUsage(f"Asides of type {aside_usage_id.aside_type!r} are not in use here.")
        self.get_block(aside_usage_id.usage_key)  # its fields are fetched with its block's
        return super().get_aside(aside_usage_id)

    def prefetch(self, usage_id: UsageKey) -> None:
        """``prefetch_all`` of one block."""
        self.prefetch_all([usage_id])

    def prefetch_all(self, usage_ids: Iterable[UsageKey]) -> None:
        """Fetch the fields of blocks and of all below them, asides too: a query a scope, whatever their number.

        Below a block that gives each learner some of its children it fetches only what the learner was given,
        which takes as many queries again.
        """
        waiting, blocks = list(usage_ids), []
        while waiting:
            usage_key = waiting.pop()
            block = self._construct(usage_key, None)
            blocks.append(block)
            if not getattr(block, "gives_each_learner_some", False):
                waiting.extend(child.usage_key for child in self.course.block(usage_key).children)
        self.field_data_cache.add_blocks_to_cache(blocks)
        given = [key for block in blocks for key in _given_by(block)]
        if given:
            self.prefetch_all(given)

    def _construct(self, usage_id: UsageKey, for_parent: XBlock | None) -> XBlock:
        known = self.course.block(usage_id)
        # The course's own key object: fields are looked up by its identity, and all parts of a page share it.
        scope_ids = ScopeIds(self.user_id, known.block_type, known.usage_key, known.usage_key)
        cls, reason = UnavailableBlock, known.unavailable
        if not reason:
            try:
                cls = block_class(known.block_type)
            except BlockUnavailableError as error:
                reason = str(error)
        block = self.construct_xblock_from_class(cls, scope_ids, for_parent=for_parent)
        if reason:
            block.reason = reason
        return block

    def applicable_aside_types(self, block: XBlock) -> list[str]:
        """The types of asides that the site has beside its blocks (``ASIDES``)."""
        return [] if isinstance(block, UnavailableBlock) else list(self.aside_types)

    # Saving

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Make one save of all that blocks save within, and only then send what they published.

        Raises what ``Store.save`` raises, ``ConflictError`` when somebody has saved the same since it was read:
        then nothing is saved, and nothing is sent.
        """
        self._waiting = []
        try:
            with ExitStack() as self._saving:
                # Left last: what is forestalled discards the author's edits, too.
                self._saving.enter_context(self._authored.saving_at_the_end())
                self._saving.enter_context(self.field_data_cache.saving_at_the_end(unless_changed=True))
                yield
            events = self._waiting
        finally:
            self._waiting = self._saving = None
        for event in events:
            self.send(event)

    def publish(self, block: XBlock, event_type: str, event_data: dict[str, Any]) -> None:
        """A grade or a completion is saved; every event is sent as ``events.block_published`` when that is done.

        Raises ``InvalidEventError``.
        """
        usage_key = block.scope_ids.usage_id
        meant = published(block, event_type, event_data, self.user_id)
        cache = self.field_data_cache
        if meant.grade is not None and not (
            meant.only_if_higher and not is_higher(meant.grade, cache.grade(usage_key))
        ):
            cache.save_grade(usage_key, meant.grade)
        if meant.completion is not None and not hasattr(usage_key, "aside_type"):  # a block is completed, or not
            self._complete(usage_key, meant.completion)
        event = Event(usage_key, event_type, event_data, self.user)
        if self._waiting is None:
            self.send(event)
        else:
            self._waiting.append(event)

    def send(self, event: Event) -> None:
        """Tell of what a block published, when what it belongs to is stored."""
        event.send_after_commit()

    def _complete(self, usage_key: UsageKey, completion: float) -> None:
        if self.completions([usage_key]).get(usage_key) != completion:
            self.field_data_cache.set_many({self._completion_key(usage_key): completion})

    @property
    def learner_state(self) -> CourseRuntime:
        """What services ask for what is stored of the learner."""
        return self

    def completions(self, usage_keys: Iterable[UsageKey]) -> Mapping[UsageKey, float]:
        """How far these blocks are completed, 0.0 to 1.0; those without a completion are not in it."""
        cache, found = self.field_data_cache, {}
        keys = {usage_key: self._completion_key(usage_key) for usage_key in usage_keys}
        cache.add_blocks_to_cache([self._construct(usage_key, None) for usage_key in keys])
        for usage_key, key in keys.items():
            if cache.has(key):
                found[usage_key] = float(cache.get(key))
        return found

    def _completion_key(self, usage_key: UsageKey) -> KeyValueStore.Key:
        place = aside_key(usage_key, COMPLETION)
        return KeyValueStore.Key(Scope.user_state, self.user_id, place, "completion", XBlockAside.entry_point)

    # Rendering

    def render(self, block: XBlock, view_name: str, context: dict[str, Any] | None = None) -> Fragment:
        """The block's view; a card that says what failed when it raises, and the page lives.

        A block without an ``author_view`` is shown to its author as to learners, as in Studio. Raises
        ``NoSuchViewError`` for a view that the host has no page for: parents ask children for those, and go on.
        """
        if view_name == "author_view" and not (hasattr(block, view_name) or hasattr(block, "fallback_view")):
            view_name = "student_view"
        try:
            with told_in_card():
                fragment = super().render(block, view_name, context)
        except Exception as error:
            if isinstance(error, NoSuchViewError) and view_name not in VIEWS:
                raise
            return self._failure(block, view_name, error)
        rewritten = Fragment(self._replace_urls(fragment.content))
        rewritten.add_fragment_resources(fragment)
        return rewritten

    def _failure(self, block: XBlock, view_name: str, error: Exception) -> Fragment:
        if not isinstance(error, BlockUnavailableError):
            log.exception("%s failed in its %s", block.scope_ids.usage_id, view_name, exc_info=error)
        return Fragment(self._error_card(block, error))

    def layout_asides(
        self,
        block: XBlock,
        context: dict[str, Any] | None,
        frag: Fragment,
        view_name: str,
        aside_frag_fns: list[tuple[XBlockAside, Callable[..., Fragment]]],
    ) -> Fragment:
        """The block's HTML, and below it that of its asides; one that raises takes nothing else with it."""
        together = Fragment(frag.content)
        together.add_fragment_resources(frag)
        for aside, view in aside_frag_fns:
            try:
                fragment = view(block, context)
                aside.save()
                shown = self.wrap_aside(block, aside, view_name, fragment, context)
            except Exception as error:
                shown = self._failure(aside, view_name, error)
            together.add_content(shown.content)
            together.add_fragment_resources(shown)
        return together

    def wrap_xblock(self, block: XBlock, view: str, frag: Fragment, context: dict[str, Any] | None) -> Fragment:
        """The block's HTML in its element (``wrapping``)."""
        known = self.course.block(block.scope_ids.usage_id)
        return wrapped(
            block,
            view,
            frag,
            usage_key=known.usage_key,
            block_type=known.block_type,
            handler_url=self._handlers(known.usage_key),
            thirdparty_url=self._handlers(known.usage_key, thirdparty=True),
            name=block.name,
        )

    def wrap_aside(
        self, block: XBlock, aside: XBlockAside, view: str, frag: Fragment, context: dict[str, Any] | None
    ) -> Fragment:
        """The same for an aside's."""
        usage_key = aside.scope_ids.usage_id
        return wrapped_aside(
            block,
            aside,
            view,
            frag,
            handler_url=self._handlers(usage_key),
            thirdparty_url=self._handlers(usage_key, thirdparty=True),
        )

    def _handlers(self, usage_key: UsageKey, *, thirdparty: bool = False) -> str:
        """What the addresses of all handlers begin with."""
        return self.urls.handler(usage_key, "", "", "", is_preview=self.is_author, thirdparty=thirdparty)

    # What blocks ask of their host

    def handler_url(
        self, block: XBlock, handler_name: str, suffix: str = "", query: str = "", thirdparty: bool = False
    ) -> str:
        return self.urls.handler(
            block.scope_ids.usage_id,
            handler_name,
            suffix,
            query,
            is_preview=self.is_author,
            thirdparty=thirdparty,
        )

    def local_resource_url(self, block: XBlock, uri: str) -> str:
        return self.urls.resource(block.scope_ids.block_type, uri)

    def resource_url(self, resource: str) -> str:
        raise NotImplementedError("Resources belong to blocks: use local_resource_url.")


def _given_by(block: XBlock) -> list[UsageKey]:
    """What a block that gives each learner some of its children gives this one."""
    if not getattr(block, "gives_each_learner_some", False):
        return []
    try:
        given: list[UsageKey] = block.given()
    except Exception as error:  # its view meets the same, and becomes a card
        log.warning("%s cannot say what it gives: %s", block.scope_ids.usage_id, error)
        return []
    return given
