"""Courses in OLX, the XML that Open edX exports: https://docs.openedx.org/en/latest/educators/olx/

A block is defined where it stands, or in a file of its own that ``<problem url_name="x"/>`` points to,
``problem/x.xml``.
"""

from __future__ import annotations

import inspect
import logging
import sys
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage
from fs.osfs import OSFS
from lxml import etree
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock
from xblock.fields import Scope, ScopeIds

from fieldstone.errors import CourseError, InvalidPlaceError
from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.course import AuthoredFieldData, Course, CourseBlock
from fieldstone.runtime.derived_ids import DerivedIds, is_derived
from fieldstone.runtime.ids import CourseIds
from fieldstone.runtime.inheritance import INHERITED, InheritedSettings, setting
from fieldstone.runtime.olx_files import CourseFiles
from fieldstone.runtime.ready_classes import ReadyClasses
from fieldstone.runtime.structure import BlockUnavailableError
from fieldstone.store.places import key_text

log = logging.getLogger(__name__)

NOT_BLOCKS = frozenset({"wiki", "textbook", "pdf_textbook", "html_textbook"})
"""Children of <course> that are no blocks."""

POINTER = frozenset({"url_name", "org", "course"})
"""Attributes of a node that points to a file; the last two make the key of a course."""

OF_THE_BLOCK = (Scope.user_state, Scope.user_state_summary)
"""Scopes of what is stored under a block's id."""


def read_course(folder: Path, shown: Path | None = None) -> Course:
    """The course, or the library, in a folder, or in the only folder in that one.

    Raises ``CourseError`` naming file and line when its root or its policies cannot be read. What is wrong below
    does not stop the rest: a file that is missing or broken, a block whose package is missing, or that cannot read
    its own XML, becomes an unavailable block, and the course's ``problems`` say where it is and why.

    ``shown``: what errors and problems call the folder, when people know it by another name.
    """
    return _Reader(CourseFiles(folder, shown)).read()


class _Reader:
    """Reads one course. The blocks' own ``parse_xml`` do the part that is theirs."""

    def __init__(self, files: CourseFiles) -> None:
        self.files = files
        self.node, self.key = files.root()
        self.run = self.node.get("url_name") or "library"
        self.policy = files.policy(self.run)
        self.grading_policy = files.grading_policy(self.run)
        self.blocks: dict[str, CourseBlock] = {}
        self.problems: list[str] = []
        self.keeps_files = False
        self.derived_ids = DerivedIds(self.files.names(self.node))
        self.nameless: set[str] = set()
        self.runtime = ParseRuntime(self)

    def read(self) -> Course:
        self.add(self.node, None)
        root = next(iter(self.blocks.values()))
        return Course(
            self.key,
            self.files.folder,
            root,
            self.blocks,
            self.problems,
            self.policy,
            self.grading_policy,
            self.keeps_files,
        )

    def add(self, node: etree._Element, parent: CourseBlock | None) -> CourseBlock | None:
        """Read the block at a node, and through its ``parse_xml`` those below it. ``None``: there already."""
        definition, broken = self.definition_of(node)
        self.note_what_is_beside_a_pointer(node, definition)
        usage_key = self.usage_key(node, parent)
        if usage_key is None:
            return None
        if str(usage_key) in self.blocks:
            self.problem(
                node, f"<{node.tag}> {usage_key.block_id!r} is in the course already; this one is left out"
            )
            return None
        settings = {str(name): value for name, value in definition.attrib.items()}
        settings |= self.policy_of(usage_key)
        title = settings.get("display_name") or node.tag.replace("_", " ").replace("-", " ").capitalize()
        block = CourseBlock(usage_key, node.tag, parent, str(title))
        self.blocks[str(usage_key)] = block
        block.inheritable = self.inheritable(definition, settings)
        if parent is not None:
            parent.children.append(block)
        if broken is None:
            self.load(definition, block)
        else:
            block.unavailable = self.files.within(broken)
            self.problems.append(str(broken))
        return block

    def definition_of(self, node: etree._Element) -> tuple[etree._Element, CourseError | None]:
        """Where the block is defined, or its node and what is wrong with the file. The root's has to be right."""
        try:
            return self.files.definition_of(node), None
        except CourseError as error:
            if node is self.node:
                raise
            return node, error

    def note_what_is_beside_a_pointer(self, node: etree._Element, definition: etree._Element) -> None:
        unused = [] if definition is node else sorted(set(map(str, node.attrib)) - POINTER)
        if unused:
            self.problem(node, f"beside the url_name, which points to a file: {', '.join(unused)}; write it there")

    def inheritable(self, node: etree._Element, settings: dict[str, Any]) -> dict[str, Any]:
        """What those below take from a block; a problem noted where they could not read it."""
        found = {}
        for name in (name for name in settings if name in INHERITED):
            try:
                found[name] = setting(name, settings[name])
            except ValueError as error:
                self.problem(node, f"{error}; nothing below takes it")
        return found

    def usage_key(self, node: etree._Element, parent: CourseBlock | None) -> UsageKey | None:
        """The key of a block; ``None``, and a problem noted, when it could not be one that the store keeps."""
        block_id = node.get("url_name") if parent else self.run
        named = block_id or self.derived_id(node, parent)
        try:
            key: UsageKey = self.key.make_usage_key(node.tag, named)
            key_text(key)
        except (InvalidKeyError, InvalidPlaceError) as error:
            self.problem(node, f"url_name {named!r} makes no usage key ({error}); this block is left out")
            return None
        if not block_id or is_derived(node.tag, block_id):
            # One that was given its derived id as its name too: that shall change no ids below it.
            self.nameless.add(str(key))
        return key

    def load(self, definition: etree._Element, block: CourseBlock) -> None:
        """Have the block's class read its definition into the authored field data."""
        try:
            cls = self.runtime.mixologist.mix(block_class(block.block_type))
            self.load_as(cls, definition, block)
        except Exception as error:  # whatever a published block raises: the others go on
            reason = str(error)
            if not isinstance(error, BlockUnavailableError):
                log.info("%s could not read its OLX", block.usage_key, exc_info=True)
                reason = f"<{block.block_type}> could not read its OLX: {type(error).__name__}: {error}"
            block.unavailable = reason
            self.problem(definition, reason)

    def load_as(self, cls: type[XBlock], definition: etree._Element, block: CourseBlock) -> None:
        key = block.usage_key
        plain = cls.parse_xml.__func__ is XBlock.parse_xml.__func__
        handed_down = _handed_down(cls)
        if plain:
            # It makes a field of every attribute, and warns where the block has none for it.
            for name in (set(definition.attrib) - set(cls.fields)) | handed_down:
                definition.attrib.pop(name, "")
        else:
            definition.set("url_name", key.block_id)
            self.keeps_files = self.keeps_files or _keeps_files(cls)
        xblock = _parsed(cls, definition, self.runtime, ScopeIds(None, block.block_type, key, key))
        policy = {} if str(key) in self.runtime.asked_for_policy else self.policy_of(key)
        values = {name: value for name, value in policy.items() if name not in handed_down}
        own = handed_down if plain else handed_down & policy.keys()
        values |= {name: value for name, value in block.inheritable.items() if name in own}
        for name, value in values.items():
            if name in cls.fields:
                setattr(xblock, name, cls.fields[name].from_json(value))
        xblock.parent = block.parent.usage_key if block.parent else None
        xblock.save()

    def policy_of(self, usage_key: UsageKey) -> dict[str, Any]:
        """The settings that policy.json has for a block; they go before those of its XML."""
        return self.policy.get(f"{usage_key.block_type}/{usage_key.block_id}", {})

    def derived_id(self, node: etree._Element, parent: CourseBlock | None) -> str:
        """An id for a block without url_name; a problem noted where learners' state hangs on it."""
        named = parent
        while named is not None and str(named.usage_key) in self.nameless:
            named = named.parent
        try:
            cls = block_class(node.tag)
        except BlockUnavailableError:
            cls = XBlock
        above = str(named.usage_key) if named else ""
        block_id, twin = self.derived_ids.next_for(node, above, has_children=cls.has_children)
        if any(field.scope in OF_THE_BLOCK for field in cls.fields.values()):
            self.problem(node, _warning(node.tag, block_id, twin))
        return block_id

    def problem(self, node: etree._Element, reason: str) -> None:
        self.problems.append(str(self.files.error(node, reason)))


class ParseRuntime(ReadyClasses):
    """The runtime that blocks see while they read their XML."""

    def __init__(self, reader: _Reader) -> None:
        ids = CourseIds(reader.key)
        super().__init__(
            ids, ids, services={"field-data": AuthoredFieldData(reader.blocks)}, mixins=(InheritedSettings,)
        )
        self._reader = reader
        self.asked_for_policy: set[str] = set()
        """The readers of most of Open edX's own blocks ask; for the others, the policy is set afterwards."""
        # Blocks open further files through this, as html does its .html; it cannot leave the folder.
        self.resources_fs = OSFS(str(reader.files.folder))

    def add_node_as_child(self, block: XBlock, node: etree._Element) -> None:
        """Called by a container's ``parse_xml`` for each child."""
        if node.tag in NOT_BLOCKS or not isinstance(node.tag, str):
            return
        child = self._reader.add(node, self._reader.blocks[str(block.scope_ids.usage_id)])
        if child is not None:
            block.children.append(child.usage_key)

    def get_policy(self, usage_id: UsageKey) -> dict[str, Any]:
        """The settings that policy.json has for a block; Open edX's own blocks ask for them."""
        self.asked_for_policy.add(str(usage_id))
        return self._reader.policy_of(usage_id)

    def parse_asides(self, node: etree._Element, def_id: Any, usage_id: Any, id_generator: Any) -> list[Any]:
        """No asides are read from OLX."""
        return []

    def error_tracker(self, message: str) -> None:
        """Open edX's blocks report what they could not read well through this."""
        self._reader.problems.append(message)

    def handler_url(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError("a block has no handlers while its course is being read")

    resource_url = local_resource_url = handler_url

    def publish(self, block: XBlock, event_type: str, event_data: dict[str, Any]) -> None:
        raise NotImplementedError("a block publishes nothing while its course is being read")


def _warning(tag: str, block_id: str, twin: int) -> str:
    reason = f"<{tag}> has no url_name, so what learners do in it is kept under an id made of its content"
    if twin > 1:
        reason += f", and it is number {twin} of the same content, which only their order tells apart"
    return f'{reason}: a change loses it. Give it one: url_name="{block_id}" keeps what is there.'


def _parsed(cls: type[XBlock], definition: etree._Element, runtime: ParseRuntime, scope_ids: ScopeIds) -> XBlock:
    """What the class reads in its definition; older classes want the id generator too, as XBlock once gave it."""
    parameters = inspect.signature(cls.parse_xml).parameters
    more = [runtime.id_generator] if len(parameters) > len(inspect.signature(XBlock.parse_xml).parameters) else []
    return cls.parse_xml(definition, runtime, scope_ids, *more)


def _handed_down(cls: type[XBlock]) -> set[str]:
    """The settings that a block takes from its course, but for those that it has fields of its own for."""
    return {name for name in INHERITED if cls.fields[name] is InheritedSettings.fields[name]}


def _keeps_files(cls: type[XBlock]) -> bool:
    """May the class, as it reads its XML, put files into Django's default storage? It then has that at hand."""
    module = sys.modules[cls.parse_xml.__func__.__module__]
    return any(value is default_storage for value in vars(module).values())
