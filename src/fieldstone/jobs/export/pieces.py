"""The pieces of an export: a file a chunk in the job's folder, whole or not there.

A piece counts once the part of its chunk names it. Each try has a name of its own: a worker that has lost its
lease without knowing can never replace what another has laid down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from fieldstone.errors import FieldstoneError
from fieldstone.jobs import folders

_NAME = re.compile(r"part-(\d+)-to-(-?\d+)-rows-(\d+)-\w+\.piece")
_HALF = ".half-"


class PieceLostError(FieldstoneError):
    """A piece that a part names is not there: the export cannot be put together, and is to be started again."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is gone, or was never on this machine. Workers on several machines need a JOBS_FOLDER that"
            " they share. If it was deleted, cancel this job and start the export again."
        )


class Pieces:
    """The pieces of one job, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lay_down(self, part: int, last: int, write: Callable[[IO[bytes]], int]) -> str:
        """The name of a new piece of a part, up to a learner; ``write`` fills it, and says how many rows it has.

        It is on the disk when this returns. Raises ``FolderUnsafeError``, and ``OSError``.
        """
        folders.make(self.folder)
        half = self.folder / f"{_HALF}{uuid4().hex}"
        try:
            with new_file(half) as file:
                rows = write(file)
            name = f"part-{part:06}-to-{last}-rows-{rows}-{uuid4().hex[:12]}.piece"
            half.replace(self.folder / name)
        finally:
            half.unlink(missing_ok=True)
        sync_folder(self.folder)
        return name

    def opened(self, names: Iterable[str]) -> Iterator[IO[bytes]]:
        """Each open until the next is asked for. Raises ``PieceLostError``."""
        for name in names:
            path = self.folder / name
            try:
                file = path.open("rb")
            except FileNotFoundError as error:
                raise PieceLostError(path) from error
            with file:
                yield file

    def remove_all(self) -> None:
        """Also those that no part names, and what was begun and not ended."""
        for path in self.folder.glob("part-*.piece"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{_HALF}*"):
            path.unlink(missing_ok=True)


def rows_of(name: str) -> int:
    """How many rows a piece has, which its name says."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not the name of a piece.")
    return int(found[3])


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only its owner can read; on the disk at the end."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """What was named anew in a folder is so after a power cut too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
