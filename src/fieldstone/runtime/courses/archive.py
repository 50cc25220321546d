"""Courses as Open edX exports them, ``course.tar.gz``: unpacked once for each content."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fieldstone.errors import CourseError
from fieldstone.runtime.courses.cache_folder import CacheFolder, CacheUnusableError

MAX_FILES = 50_000
MAX_BYTES = 2 * 1024**3
"""An archive that would unpack to more is refused: a small file can hold any amount of zeros."""

_MAX_HEADER = 128 * 1024
"""Of a long name, in bytes: such headers are read whole, before anything is known of what they are for."""

MAX_DEPTH = 100
"""So many folders in each other. Python's own tools for folders go down by calling themselves."""

_PIECE = 1024**2
_NOT_AN_ARCHIVE = "this is no folder and no archive; name a folder with a course.xml, or a .tar.gz of one"
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)


class _UnsafeError(tarfile.TarError):
    """Something that is not unpacked; the message says what."""


class _Member(tarfile.TarInfo):
    """What stands in a course's archive: files and folders. No links, so nothing can lead out of the folder."""

    @classmethod
    def frombuf(cls, *args: Any) -> _Member:
        """Called for each header, before what belongs to it is read."""
        member: _Member = super().frombuf(*args)
        if member.type in _HEADERS and member.size > _MAX_HEADER:
            raise _UnsafeError(f"a header of {member.size} bytes")
        if member.type not in _FILES + _HEADERS:
            raise _UnsafeError(f"{member.name!r} is neither a file nor a folder")
        return member


_REFUSED = (_UnsafeError, getattr(tarfile, "FilterError", _UnsafeError))
_DAMAGED = (
    *(tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(ValueError, OverflowError, RecursionError),  # what garbage in headers leads to
)

_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python has it since 3.11.4; what is refused here does not hang on it."""


def digest_of(archive: Path) -> str:
    """Of the archive's content. Raises ``CourseError``."""
    try:
        with archive.open("rb") as file:
            return _digest(file)
    except OSError as error:
        raise CourseError(archive, f"the file cannot be read ({error.strerror})") from error


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]  # typeshed wants more


def unpacked(archive: Path, digest: str, cache: CacheFolder, name: str) -> Path:
    """The folder of an archive's content, in the cache under ``name`` and ``digest``. Raises ``CourseError``.

    The caller holds the lock of the name. What cannot be unpacked leaves nothing behind.
    """
    try:
        folder = cache.ready() / f"{name}-{digest}.course"
    except CacheUnusableError as error:
        raise CourseError(archive, f"there is nowhere to unpack it: {error}") from error
    cache.clear_unfinished(name)
    try:
        if _is_whole(folder):
            os.utime(folder)  # it is no old one any more
        else:
            _unpack_as(folder, archive, digest, Path(tempfile.mkdtemp(dir=cache.path, prefix=f".new-{name}-")))
    except OSError as error:
        raise CourseError(archive, f"it cannot be unpacked into {folder} ({error.strerror})") from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Are all files there that were unpacked? Systems delete old ones from their folders for temporary files."""
    try:
        return _count(folder) >= int(_note(folder).read_text())
    except (OSError, ValueError):
        return False


def _note(folder: Path) -> Path:
    """Beside the folder: the number of its files."""
    return folder.with_name(f"{folder.name}.files")


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _unpack_as(folder: Path, archive: Path, digest: str, temporary: Path) -> None:
    try:
        (temporary / "new").mkdir()
        with archive.open("rb") as file:
            with _errors_of(archive):
                _unpack(archive, file, temporary / "new")
            if _digest(file) != digest:
                raise CourseError(archive, "the file was changed while it was unpacked; read it again")
        if folder.exists():
            folder.replace(temporary / "old")
        (temporary / "new").replace(folder)
        _note(folder).write_text(str(_count(folder)))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _errors_of(archive: Path) -> Iterator[None]:
    try:
        yield
    except _REFUSED as error:
        raise CourseError(archive, f"it holds something that is not safe to unpack: {error}") from error
    except _DAMAGED as error:
        raise CourseError(archive, f"the archive is damaged: {error}") from error


def _unpack(archive: Path, file: BinaryIO, folder: Path) -> None:
    try:
        opened = tarfile.open(fileobj=file, tarinfo=_Member)  # noqa: SIM115  # an error here says something else
    except tarfile.ReadError as error:
        raise CourseError(archive, _NOT_AN_ARCHIVE) from error
    with opened:
        files = size = 0
        # One by one, each looked at before it is written: the sizes stand in the archive before the data.
        while (member := opened.next()) is not None:
            _check(member)
            files, size = files + 1, size + member.size
            if files > MAX_FILES or size > MAX_BYTES:
                limits = f"{MAX_FILES} files or {MAX_BYTES // 1024**2} MiB"
                raise CourseError(archive, f"it unpacks to more than {limits}")
            # Whose it was, when it was changed and who could read it there, nobody asks here.
            opened.extract(member, folder, set_attrs=False, **_FILTER)
        _read_to_the_end(opened.fileobj)


def _check(member: tarfile.TarInfo) -> None:
    """What headers before it may have changed: its name and its size. Raises ``_UnsafeError``."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise _UnsafeError(f"the path {member.name!r} leads out of the folder")
    if len(path.parts) > MAX_DEPTH:
        raise _UnsafeError(f"{len(path.parts)} folders in each other")
    if "\0" in member.name or not _is_utf8(member.name):
        raise _UnsafeError(f"the name {member.name!r} is not text in UTF-8")
    if member.size < 0:
        raise _UnsafeError(f"{member.name!r} is smaller than nothing")


def _is_utf8(name: str) -> bool:
    """Python keeps other bytes of names as halves of characters, which nothing can show."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _read_to_the_end(file: Any) -> None:
    """What is compressed has its checksum at its end, and that is behind what the archive needs."""
    for _ in range(MAX_BYTES // _PIECE):
        if not file.read(_PIECE):
            return
