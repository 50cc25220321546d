"""Courses in OLX, the XML that Open edX exports: https://docs.openedx.org/en/latest/educators/olx/

A block is defined where it stands, or in a file of its own that ``<problem url_name="x"/>`` points to,
``problem/x.xml``.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from fs.osfs import OSFS
from lxml import etree
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import CourseLocator
from xblock.core import XBlock
from xblock.fields import ScopeIds
from xblock.runtime import Runtime

from fieldstone.errors import CourseError, InvalidPlaceError
from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.course import AuthoredFieldData, Course, CourseBlock
from fieldstone.runtime.ids import CourseIds
from fieldstone.runtime.inheritance import INHERITED, InheritedSettings
from fieldstone.runtime.structure import STRUCTURE, BlockUnavailableError
from fieldstone.store.places import key_text

log = logging.getLogger(__name__)

NOT_BLOCKS = frozenset({"wiki", "textbook", "pdf_textbook", "html_textbook"})
"""Children of <course> that are no blocks."""


def read_course(folder: Path) -> Course:
    """The course in a folder. Raises ``CourseError`` naming file and line when it cannot be read.

    A block whose package is missing, or that cannot read its own XML, does not stop the others: it becomes an
    unavailable block, and the course's ``problems`` say where it is and why.
    """
    return _Reader(folder).read()


class _Reader:
    """Reads one course. The blocks' own ``parse_xml`` do the part that is theirs."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CourseError(folder, "there is no such folder; name one that holds a course.xml")
        self.folder = folder
        self.node = _parse(folder / "course.xml")
        org, course, run = (self.node.get(name, "") for name in ("org", "course", "url_name"))
        if self.node.tag != "course" or not (org and course and run):
            raise _error(self.node, 'the root must be <course org="..." course="..." url_name="...">')
        try:
            self.key = CourseLocator(org, course, run)
        except InvalidKeyError as error:
            raise _error(self.node, f"org, course and url_name make no course key ({error})") from error
        self.policy = _read_policy(folder / "policies" / run / "policy.json")
        self.blocks: dict[str, CourseBlock] = {}
        self.problems: list[str] = []
        self.runtime = ParseRuntime(self)

    def read(self) -> Course:
        self.add(self.node, None)
        root = next(iter(self.blocks.values()))
        return Course(self.key, self.folder, root, self.blocks, self.problems)

    def add(self, node: etree._Element, parent: CourseBlock | None) -> CourseBlock | None:
        """Read the block at a node, and through its ``parse_xml`` those below it. ``None``: there already."""
        definition = self.definition_of(node)
        block_id = node.get("url_name") or self.derived_id(node, parent)
        usage_key = self.usage_key(node, block_id)
        if usage_key is None:
            return None
        if str(usage_key) in self.blocks:
            self.problem(node, f"<{node.tag}> {block_id!r} is in the course already; this one is left out")
            return None
        settings = {str(name): value for name, value in definition.attrib.items()}
        settings |= self.policy_of(usage_key)
        title = settings.get("display_name") or node.tag.replace("_", " ").replace("-", " ").capitalize()
        block = CourseBlock(usage_key, node.tag, parent, str(title))
        self.blocks[str(usage_key)] = block
        block.inheritable = {name: _setting(value) for name, value in settings.items() if name in INHERITED}
        if parent is not None:
            parent.children.append(block)
        self.load(definition, block)
        return block

    def usage_key(self, node: etree._Element, block_id: str) -> UsageKey | None:
        """The key of a block; ``None``, and a problem noted, when it could not be one that the store keeps."""
        try:
            key: UsageKey = self.key.make_usage_key(node.tag, block_id)  # type: ignore[no-untyped-call]
            key_text(key)
        except (InvalidKeyError, InvalidPlaceError) as error:
            self.problem(node, f"url_name {block_id!r} makes no usage key ({error}); this block is left out")
            return None
        return key

    def load(self, definition: etree._Element, block: CourseBlock) -> None:
        """Have the block's class read its definition into the authored field data."""
        key = block.usage_key
        try:
            cls = self.runtime.mixologist.mix(block_class(block.block_type))
            plain = cls.parse_xml.__func__ is XBlock.parse_xml.__func__
            if plain:
                # It makes a field of every attribute, and warns where the block has none for it.
                for name in set(definition.attrib) - set(cls.fields):
                    del definition.attrib[name]
            else:
                definition.set("url_name", key.block_id)
            xblock = cls.parse_xml(definition, self.runtime, ScopeIds(None, block.block_type, key, key))
            if plain:  # the readers of Open edX's own blocks ask for the policy themselves
                for name, value in self.policy_of(key).items():
                    if name in cls.fields:
                        setattr(xblock, name, cls.fields[name].from_json(value))
            xblock.parent = block.parent.usage_key if block.parent else None
            xblock.save()
        except CourseError:
            raise
        except Exception as error:  # whatever a published block raises: the others go on
            reason = str(error)
            if not isinstance(error, BlockUnavailableError):
                log.info("%s could not read its OLX", key, exc_info=True)
                reason = f"<{block.block_type}> could not read its OLX: {type(error).__name__}: {error}"
            block.unavailable = reason
            self.problem(definition, reason)

    def definition_of(self, node: etree._Element) -> etree._Element:
        """The node itself, or the root of the file that it points to."""
        name = node.get("url_name")
        if not name or len(node) or (node.text or "").strip():
            return node
        # Open edX writes a colon in a name as a slash in the path.
        path = self.folder / node.tag / f"{name.replace(':', '/')}.xml"
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise _error(node, f"url_name {name!r} points outside the course's folder")
        if not path.is_file():
            if node.tag in STRUCTURE or (set(node.attrib) == {"url_name"} and (self.folder / node.tag).is_dir()):
                raise _error(node, f"<{node.tag} url_name={name!r}> points to {path}, which is missing")
            return node  # a block that stands here and whose fields all have their defaults
        root = _parse(path)
        if root.tag != node.tag:
            raise _error(root, f"<{node.tag}> is expected here, not <{root.tag}>")
        return root

    def policy_of(self, usage_key: UsageKey) -> dict[str, Any]:
        """The settings that policy.json has for a block; they go before those of its XML."""
        return self.policy.get(f"{usage_key.block_type}/{usage_key.block_id}", {})

    def derived_id(self, node: etree._Element, parent: CourseBlock | None) -> str:
        """An id for a block without url_name, the same at every reading: state is kept under it."""
        above = parent.usage_key.block_id if parent else ""
        return f"{above}-{node.tag}-{len(parent.children) if parent else 0}"

    def problem(self, node: etree._Element, reason: str) -> None:
        self.problems.append(str(_error(node, reason)))


class ParseRuntime(Runtime):  # type: ignore[misc]  # xblock publishes no types
    """The runtime that blocks see while they read their XML."""

    def __init__(self, reader: _Reader) -> None:
        ids = CourseIds(reader.key)
        super().__init__(
            ids, ids, services={"field-data": AuthoredFieldData(reader.blocks)}, mixins=(InheritedSettings,)
        )
        self._reader = reader
        # Blocks open further files through this, as html does its .html; it cannot leave the folder.
        self.resources_fs = OSFS(str(reader.folder))

    def add_node_as_child(self, block: XBlock, node: etree._Element) -> None:
        """Called by a container's ``parse_xml`` for each child."""
        if node.tag in NOT_BLOCKS or not isinstance(node.tag, str):
            return
        child = self._reader.add(node, self._reader.blocks[str(block.scope_ids.usage_id)])
        if child is not None:
            block.children.append(child.usage_key)

    def get_policy(self, usage_id: UsageKey) -> dict[str, Any]:
        """The settings that policy.json has for a block; Open edX's own blocks ask for them."""
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


def _parse(path: Path) -> etree._Element:
    # No entities, no network: a course is somebody's upload.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        return etree.parse(str(path), parser).getroot()
    except etree.XMLSyntaxError as error:
        raise CourseError(path, error.msg or "broken XML", error.lineno) from error
    except OSError as error:
        raise CourseError(path, "the file is missing or cannot be read") from error


def _error(node: etree._Element, reason: str) -> CourseError:
    line: Any = node.sourceline
    return CourseError(Path(node.getroottree().docinfo.URL or ""), reason, line)


def _read_policy(path: Path) -> dict[str, dict[str, Any]]:
    """``policies/<run>/policy.json``: settings by ``type/url_name``."""
    if not path.is_file():
        return {}
    try:
        policy = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(path, f"not JSON ({error})", getattr(error, "lineno", None)) from error
    if not isinstance(policy, dict) or not all(isinstance(settings, dict) for settings in policy.values()):
        raise CourseError(path, "an object of objects is expected: settings by type/url_name")
    return policy


def _setting(text: Any) -> Any:
    """A setting from an attribute: JSON where it is JSON, as Open edX reads it."""
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return text
