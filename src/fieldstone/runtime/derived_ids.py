"""Ids for blocks without ``url_name``: what learners do is kept under them.

Such an id is made of what the block says, and of the nearest block above it that has a name; not of its place.
So other blocks may come, go and change places about it. docs/decisions/0017 says what was rejected.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Container, Iterator

from lxml import etree

from fieldstone.runtime.inheritance import INHERITED

_FORM = re.compile(r"-[0-9a-f]{12}(-[0-9]+)?$")


def is_derived(tag: str, name: str) -> bool:
    """Is it such an id? An author who follows the advice gives a block the one that it has as its name."""
    return name.startswith(tag) and _FORM.fullmatch(name, len(tag)) is not None


class DerivedIds:
    """The ids of one reading of a course, in its order."""

    def __init__(self, taken: Container[tuple[str, str]]) -> None:
        """``taken``: tag and name of the blocks that have one, wherever they stand in the course."""
        self._taken = taken
        self._seen: Counter[str] = Counter()

    def next_for(self, node: etree._Element, named_above: str, *, has_children: bool) -> tuple[str, int]:
        """The id of a nameless block, and its number among its twins: those of the same content, from 1.

        What is in a container is left out of its content, for blocks come and go there; so are the settings that
        courses hand down: an author puts off a due date while learners are at work.

        The number of a twin that has its id for a name is left out: the others keep theirs.
        """
        digest = hashlib.blake2b(digest_size=6)
        digest.update(f"{named_above}\n".encode())
        for part in _content(node, INHERITED, deep=not has_children):
            digest.update(part.encode(errors="surrogatepass") + b"\0")
        block_id = f"{node.tag}-{digest.hexdigest()}"
        while True:
            self._seen[block_id] += 1
            twin = self._seen[block_id]
            numbered = block_id if twin == 1 else f"{block_id}-{twin}"
            if (node.tag, numbered) not in self._taken:
                return numbered, twin


def _content(node: etree._Element, without: frozenset[str] = frozenset(), *, deep: bool = True) -> Iterator[str]:
    """Tag, attributes in the order of their names, texts; spaces and line breaks are as good as one space."""
    yield f"<{node.tag}"
    for name, value in sorted((str(name), str(value)) for name, value in node.attrib.items()):
        if name not in without:
            yield f"{name}={' '.join(value.split())}"
    yield " ".join((node.text or "").split())
    if deep:
        for child in node:
            yield from _content(child)
            yield " ".join((child.tail or "").split())
    yield ">"
