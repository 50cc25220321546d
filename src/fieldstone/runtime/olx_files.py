"""The files of a course in OLX: its root, its policies, and the file that a pointer points to."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from lxml import etree
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import CourseLocator, LibraryLocator

from fieldstone.errors import CourseError
from fieldstone.runtime.structure import STRUCTURE

MAX_XML = 10 * 1024**2
"""Of one XML file, in bytes. In memory it takes up to a hundred times as much; no published course comes near."""

ROOTS = ("course", "library")


class CourseFiles:
    """The files of one course. All errors are ``CourseError``, naming file and line."""

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        """``path``: the folder, or one that holds it alone. ``shown``: what errors call it."""
        if not path.is_dir():
            raise CourseError(path, "there is no such folder; name one that holds a course.xml")
        self._path = path
        self._shown = shown or path
        self.folder = course_folder(path)

    def parse(self, path: Path) -> etree._Element:
        """The root of an XML file."""
        # No entities, no network: a course is somebody's upload.
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_XML + 1)
            if len(content) > MAX_XML:
                raise CourseError(self.shown(path), f"it is larger than {MAX_XML // 1024**2} MiB; divide it")
            # Of bytes, for from a path the parser would unpack what is compressed, to any size.
            root = etree.parse(BytesIO(content), parser, base_url=os.fsencode(path)).getroot()
        except etree.XMLSyntaxError as error:
            raise CourseError(self.shown(path), error.msg or "broken XML", error.lineno) from error
        except OSError as error:
            raise CourseError(self.shown(path), "the file is missing or cannot be read") from error
        for entity in root.iter(etree.Entity):
            raise self.error(entity, f"the entity {entity.text} is not expanded; write the character itself")
        return root

    def shown(self, path: Path) -> Path:
        """What a file is called to people: one of an archive is not in the folder that they know."""
        return self._shown / path.relative_to(self._path) if path.is_relative_to(self._path) else path

    def error(self, node: etree._Element, reason: str) -> CourseError:
        """An error at a node."""
        line: Any = node.sourceline
        return CourseError(self.shown(Path(node.getroottree().docinfo.URL or "")), reason, line)

    def within(self, error: CourseError) -> str:
        """An error's text for learners, whom it does not concern where on this machine the course is."""
        path = error.path.relative_to(self._shown) if error.path.is_relative_to(self._shown) else error.path.name
        return str(CourseError(Path(path), error.reason, error.line))

    def root(self) -> tuple[etree._Element, CourseKey]:
        """The node of course.xml or library.xml, and the key that it makes."""
        kind = next((kind for kind in ROOTS if (self.folder / f"{kind}.xml").is_file()), "course")
        node = self.parse(self.folder / f"{kind}.xml")
        names = ("org", "course", "url_name") if kind == "course" else ("org", "library")
        values = [node.get(name, "") for name in names]
        if node.tag != kind or not all(values):
            wanted = " ".join(f'{name}="..."' for name in names)
            raise self.error(node, f"the root must be <{kind} {wanted}>")
        locator: Any = CourseLocator if kind == "course" else LibraryLocator
        try:
            return node, locator(*values)
        except InvalidKeyError as error:
            raise self.error(node, f"{', '.join(names)} make no {kind} key ({error})") from error

    def definition_of(self, node: etree._Element) -> etree._Element:
        """The node itself, or the root of the file that it points to."""
        name = node.get("url_name")
        if not name or len(node) or (node.text or "").strip():
            return node
        # Open edX writes a colon in a name as a slash in the path.
        path = self.folder / node.tag / f"{name.replace(':', '/')}.xml"
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise self.error(node, f"url_name {name!r} points outside the course's folder")
        if not path.is_file():
            if node.tag in STRUCTURE or (set(node.attrib) == {"url_name"} and (self.folder / node.tag).is_dir()):
                missing = path.relative_to(self.folder)
                raise self.error(node, f"<{node.tag} url_name={name!r}> points to {missing}, which is missing")
            return node  # a block that stands here and whose fields all have their defaults
        root = self.parse(path)
        if root.tag != node.tag:
            raise self.error(root, f"<{node.tag}> is expected here, not <{root.tag}>")
        return root

    def names(self, root: etree._Element) -> set[tuple[str, str]]:
        """Tag and ``url_name`` of all that has one below a root, in the files that are pointed to as well."""
        names: set[tuple[str, str]] = set()
        waiting = [root]
        while waiting:
            for node in waiting.pop().iter(etree.Element):
                name = (node.tag, node.get("url_name", ""))
                if not name[1] or name in names:
                    continue
                names.add(name)
                with suppress(CourseError):  # of which the reader tells
                    definition = self.definition_of(node)
                    waiting += [] if definition is node else [definition]
        return names

    def policy(self, run: str) -> dict[str, dict[str, Any]]:
        """``policies/<run>/policy.json``: settings by ``type/url_name``."""
        path = self.folder / "policies" / run / "policy.json"
        policy = self._json(path)
        if not all(isinstance(settings, dict) for settings in policy.values()):
            raise CourseError(self.shown(path), _OBJECTS)
        return policy

    def grading_policy(self, run: str) -> dict[str, Any]:
        """``policies/<run>/grading_policy.json``, as it is."""
        return self._json(self.folder / "policies" / run / "grading_policy.json")

    def _json(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            line = getattr(error, "lineno", None)
            raise CourseError(self.shown(path), f"not JSON ({error})", line) from error
        except RecursionError as error:
            raise CourseError(self.shown(path), "it is nested too deeply") from error
        except OSError as error:
            raise CourseError(self.shown(path), f"the file cannot be read ({error.strerror})") from error
        if not isinstance(found, dict):
            raise CourseError(self.shown(path), _OBJECTS)
        return found


_OBJECTS = "an object of objects is expected: settings by type/url_name"


def course_folder(path: Path) -> Path:
    """The folder itself, or the only one in it that holds a course: exports have one above all."""
    if any((path / f"{kind}.xml").is_file() for kind in ROOTS):
        return path
    below = sorted({file.parent for kind in ROOTS for file in path.glob(f"*/{kind}.xml")})
    if len(below) > 1:
        names = ", ".join(folder.name for folder in below)
        raise CourseError(path, f"it holds several courses ({names}); name the folder of one")
    return below[0] if below else path
