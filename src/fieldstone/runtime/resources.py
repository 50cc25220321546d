"""Files that blocks bring with their packages."""

from __future__ import annotations

import io
import re
from typing import IO

from xblock.core import XBlock, XBlockAside
from xblock.exceptions import DisallowedFileError

from fieldstone import conf
from fieldstone.runtime.block_types import block_class
from fieldstone.runtime.structure import BlockUnavailableError


def open_resource(block_type: str, uri: str) -> IO[bytes]:
    """A public file of the package of a block or of an aside.

    Raises ``FileNotFoundError`` when there is none, ``BlockUnavailableError`` when the block has no package, and
    ``DisallowedFileError`` for a file that the package does not publish.
    """
    cls = _class_of(block_type)
    # Some blocks name the package's folder too, "problem/public/css/x.css", as Open edX's asset pipeline does.
    package = cls.__module__.rsplit(".", 2)
    prefix = f"{package[-2]}/{cls.public_dir}/" if len(package) > 1 else ""
    if prefix and uri.startswith(prefix):
        uri = uri.removeprefix(f"{package[-2]}/")
    try:
        opened: IO[bytes] = cls.open_local_resource(uri)
    except (IsADirectoryError, NotADirectoryError, ValueError) as error:  # ValueError: U+0000 in the name
        raise FileNotFoundError(uri) from error
    if not uri.endswith(".css"):
        return opened
    with opened:
        return io.BytesIO(without_remote_imports(opened.read().decode()).encode())


def _class_of(block_type: str) -> type[XBlock | XBlockAside]:
    try:
        return block_class(block_type)
    except BlockUnavailableError:
        if block_type not in conf.asides():
            raise
        aside: type[XBlockAside] = XBlockAside.load_class(block_type)
        return aside


def without_remote_imports(css: str) -> str:
    """A style sheet without its ``@import`` of other hosts', such as Google's fonts: pages load none."""
    return _REMOTE_IMPORT.sub("", css)


_REMOTE_IMPORT = re.compile(r"""@import\s+(?:url\()?\s*["']?(?:https?:)?//[^;]*;""")


__all__ = ["DisallowedFileError", "open_resource", "without_remote_imports"]
