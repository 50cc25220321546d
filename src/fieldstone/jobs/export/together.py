"""One file of all pieces: beside its place first, then there, whole; and a note of it before the pieces go.

It may be done again at any point, and by two at once: whoever finds the note is done, and whoever finds the file
in its place looks whether it is the same one.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any
from uuid import uuid4

from fieldstone.errors import FieldstoneError
from fieldstone.jobs import folders
from fieldstone.jobs.export.columns import Columns
from fieldstone.jobs.export.formats import Format
from fieldstone.jobs.export.pieces import PieceLostError, Pieces, new_file, rows_of, sync_folder

BLOCK = 1024 * 1024
SECONDS_BETWEEN_BEATS = 1.0
NOTE = "finished.json"

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems answer that have no hard links."""


class FileTakenError(FieldstoneError):
    """Somebody has put another file where the export was to go."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is another file {path} already. Move it away.")


@dataclass(frozen=True)
class Finished:
    """What an export has come to."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Whole:
    """What is to be put together, and where."""

    pieces: Pieces
    format: Format
    columns: Columns
    file: Path
    still_here: Callable[[], None] = lambda: None  # called at most every second

    def put_together(self, names: Iterable[str]) -> dict[str, Any]:
        """The file, of the pieces of these names in their order; what ``Finished`` says of it.

        Raises ``PieceLostError``, ``FileTakenError``, ``FolderUnsafeError`` and ``OSError``; no piece is removed
        then.
        """
        folders.make(self.pieces.folder)
        names = list(names)
        note = _Note(self.pieces.folder / NOTE, names)
        found = note.read()
        if found is None:
            try:
                found = self._made(names)
            except PieceLostError:
                found = note.read()  # another worker has done it meanwhile, and removed the pieces
                if found is None:
                    raise
            else:
                note.write(found)
        self.pieces.remove_all()
        for half in self.file.parent.glob(f"{self._half('*')}"):
            half.unlink(missing_ok=True)
        return asdict(found)

    def _half(self, unique: str) -> str:
        """The name of the file while it is made; with ``*`` a pattern."""
        stem = f".{self.file.name}.{self.pieces.folder.name}-"
        return f"{glob.escape(stem) if unique == '*' else stem}{unique}.half"

    def _made(self, names: list[str]) -> Finished:
        beat = _Beat(self.still_here)
        half = self.file.parent / self._half(f"{os.getpid()}-{uuid4().hex}")
        try:
            with new_file(half) as file:
                summed = _Summed(file, beat)
                self.format.put_together(self.columns, self.pieces.opened(names), summed)
            self._put_in_place(half, summed.sha256, beat)
        finally:
            half.unlink(missing_ok=True)
        rows = sum(rows_of(name) for name in names)
        return Finished(str(self.file), rows, summed.tell(), summed.sha256)

    def _put_in_place(self, half: Path, sha256: str, beat: Callable[[], None]) -> None:
        try:
            # Unlike a rename a link never replaces what somebody else has put there.
            os.link(half, self.file)
        except FileExistsError:
            if _sha256(self.file, beat) != sha256:
                raise FileTakenError(self.file) from None
        except FileNotFoundError:
            # Another worker has ended, and swept up.
            if not self.file.exists() or _sha256(self.file, beat) != sha256:
                raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self.file.exists() and _sha256(self.file, beat) != sha256:
                raise FileTakenError(self.file) from None
            half.replace(self.file)
        sync_folder(self.file.parent)


class _Note:
    """Says that the file of these pieces is in its place.

    The names of pieces are given out once: the note of another job of this number, in a database that is gone, is
    told apart.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._pieces = hashlib.sha256("\n".join(names).encode()).hexdigest() if names else None

    def read(self) -> Finished | None:
        try:
            noted = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return Finished(**noted["finished"]) if self._pieces and noted["pieces"] == self._pieces else None

    def write(self, found: Finished) -> None:
        half = self._path.with_name(f".{NOTE}.{uuid4().hex}.half")
        try:
            with new_file(half) as file:
                file.write(json.dumps({"pieces": self._pieces, "finished": asdict(found)}).encode())
            half.replace(self._path)
        finally:
            half.unlink(missing_ok=True)
        sync_folder(self._path.parent)


class _Beat:
    """Says that this worker is still here, once a second at most."""

    def __init__(self, still_here: Callable[[], None]) -> None:
        self._still_here = still_here
        self._next = monotonic() + SECONDS_BETWEEN_BEATS

    def __call__(self) -> None:
        if monotonic() >= self._next:
            self._still_here()
            self._next = monotonic() + SECONDS_BETWEEN_BEATS


class _Summed(io.BufferedIOBase):
    """A file to write to, of which size and digest are known at the end."""

    def __init__(self, file: IO[bytes], beat: Callable[[], None]) -> None:
        super().__init__()
        self._file = file
        self._beat = beat
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._beat()
        written = self._file.write(data)
        self._digest.update(data)
        self._size += written
        return written

    def tell(self) -> int:
        return self._size


def _sha256(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            beat()
    return digest.hexdigest()
