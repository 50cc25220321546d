"""The folder where what was read of courses is kept between processes (``COURSE_CACHE``)."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.files import locks

KEPT = 4
"""So many versions of each course stay: deployments of two versions may take turns, and old folders be in use."""


class CacheUnusableError(Exception):
    """The folder cannot be used; the message says why, and what to do."""


class CacheFolder:
    """A folder of one user's: files that are whole or not there, and one lock a name."""

    def __init__(self, path: Path | None) -> None:
        """``None``: a folder of this user's below the system's folder for temporary files."""
        self.path = path or Path(tempfile.gettempdir()) / f"fieldstone-{os.getuid()}"

    def ready(self) -> Path:
        """The folder, made where it is missing. Raises ``CacheUnusableError``.

        A folder that others can write to is refused: they could put another course into it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.lstat()
        except OSError as error:
            raise CacheUnusableError(f"{self.path} cannot be made: {error.strerror}. {_NEXT}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise CacheUnusableError(
                f"{self.path} is not a folder that only this process's user can write to. {_NEXT}"
            )
        return self.path

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Only one process at a time gets further, of those that want this name; it waits for as long as it takes.

        The system lets go of the lock when its holder dies. Raises ``CacheUnusableError``.
        """
        path = self.ready() / f"{name}.lock"
        try:
            file = path.open("ab")
        except OSError as error:
            raise CacheUnusableError(f"{path} cannot be written: {error.strerror}. {_NEXT}") from error
        with file:
            locks.lock(file, locks.LOCK_EX)
            try:
                yield
            finally:
                locks.unlock(file)

    def read(self, name: str) -> str | None:
        """The text kept under a name; ``None`` when there is none, or it is not as it was written."""
        try:
            digest, _, body = (self.ready() / name).read_bytes().partition(b"\n")
        except OSError:
            return None
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        return body.decode()

    def write(self, name: str, text: str) -> None:
        """Keep a text under a name, whole or not at all. Raises ``CacheUnusableError``."""
        body = text.encode()
        path = self.ready() / name
        temporary = ""
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=f".new-{name}-")
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(temporary).replace(path)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise CacheUnusableError(f"{path} cannot be written: {error.strerror}. {_NEXT}") from error

    def clear_unfinished(self, name: str) -> None:
        """Delete what a process that was killed has left of this name. The caller holds the lock of the name."""
        for path in self.path.glob(f".new-{name}-*"):
            _delete(path)

    def hold(self, path: Path) -> IO[Any]:
        """Nobody prunes the path until the file that this gives is closed, or its process has ended.

        The caller holds the lock of the name. Raises ``CacheUnusableError``.
        """
        try:
            file = _mark_of(path).open("ab")
        except OSError as error:
            raise CacheUnusableError(f"{path} cannot be held: {error.strerror}. {_NEXT}") from error
        locks.lock(file, locks.LOCK_SH)
        return file

    def prune(self, pattern: str) -> None:
        """Delete what fits the pattern, but for the ``KEPT`` that are newest, and what somebody holds.

        The caller holds the lock of the name.
        """
        found = sorted(self.path.glob(pattern), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in found[KEPT:]:
            if not _is_held(path):
                for beside in self.path.glob(f"{path.name}*"):
                    _delete(beside)


def _mark_of(path: Path) -> Path:
    """The file beside it that those who use it keep locked."""
    return path.with_name(f"{path.name}.used")


def _is_held(path: Path) -> bool:
    try:
        with _mark_of(path).open("rb") as file:
            return not locks.lock(file, locks.LOCK_EX | locks.LOCK_NB)
    except FileNotFoundError:
        return False


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


_NEXT = 'Name another: FIELDSTONE = {"COURSE_CACHE": "path/to/a/folder"}.'
