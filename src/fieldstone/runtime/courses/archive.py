"""Courses as Open edX exports them, ``course.tar.gz``: unpacked once for each content."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

from fieldstone.errors import CourseError
from fieldstone.runtime.courses.cache_folder import CacheFolder, CacheUnusableError

MAX_FILES = 50_000
MAX_BYTES = 2 * 1024**3
"""An archive that would unpack to more is refused: a small file can hold any amount of zeros."""

_PIECE = 1024**2
_NOT_AN_ARCHIVE = "this is no folder and no archive; name a folder with a course.xml, or a .tar.gz of one"


def digest_of(archive: Path) -> str:
    """Of the archive's content. Raises ``CourseError``."""
    try:
        with archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise CourseError(archive, f"the file cannot be read ({error.strerror})") from error


def unpacked(archive: Path, digest: str, cache: CacheFolder, name: str) -> Path:
    """The folder of an archive's content, in the cache under ``name`` and ``digest``. Raises ``CourseError``.

    The caller holds the lock of the name. What cannot be unpacked leaves nothing behind.
    """
    try:
        folder = cache.ready() / f"{name}-{digest}.course"
    except CacheUnusableError as error:
        raise CourseError(archive, f"there is nowhere to unpack it: {error}") from error
    if folder.is_dir():
        return folder
    temporary = Path(tempfile.mkdtemp(dir=cache.path, prefix=".new-"))
    try:
        _unpack(archive, temporary)
        temporary.replace(folder)
    except OSError as error:
        raise CourseError(archive, f"it cannot be unpacked into {folder} ({error.strerror})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    cache.prune(f"{name}-*.course")
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if not tarfile.is_tarfile(archive):
            raise CourseError(archive, _NOT_AN_ARCHIVE)
        with tarfile.open(archive) as opened:
            files = size = 0
            # One by one, each looked at before it is written: the sizes stand in the archive before the data.
            while (member := opened.next()) is not None:
                files, size = files + 1, size + member.size
                if files > MAX_FILES or size > MAX_BYTES:
                    raise CourseError(
                        archive, f"it unpacks to more than {MAX_FILES} files or {MAX_BYTES // 1024**2} MiB"
                    )
                opened.extract(member, folder, filter="data")
            _read_to_the_end(opened.fileobj)
    except tarfile.FilterError as error:
        raise CourseError(archive, f"it holds something that is not safe to unpack: {error}") from error
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise CourseError(archive, f"the archive is damaged: {error}") from error


def _read_to_the_end(file: Any) -> None:
    """What is compressed has its checksum at its end, and that is behind what the archive needs."""
    for _ in range(MAX_BYTES // _PIECE):
        if not file.read(_PIECE):
            return
