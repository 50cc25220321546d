"""Files that blocks bring with their packages."""

from __future__ import annotations

from typing import IO

from xblock.exceptions import DisallowedFileError

from fieldstone.runtime.block_types import block_class


def open_resource(block_type: str, uri: str) -> IO[bytes]:
    """A public file of a block's package.

    Raises ``FileNotFoundError`` when there is none, ``BlockUnavailableError`` when the block has no package, and
    ``DisallowedFileError`` for a file that the package does not publish.
    """
    cls = block_class(block_type)
    # Some blocks name the folder by the package too, "problem/public/css/x.css": Open edX's asset pipeline has it so.
    package = cls.__module__.rsplit(".", 2)
    prefix = f"{package[-2]}/{cls.public_dir}/" if len(package) > 1 else ""
    if prefix and uri.startswith(prefix):
        uri = uri.removeprefix(f"{package[-2]}/")
    try:
        return cls.open_local_resource(uri)  # type: ignore[no-any-return]
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(uri) from error


__all__ = ["DisallowedFileError", "open_resource"]
