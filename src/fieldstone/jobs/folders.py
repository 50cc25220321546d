"""Where a job leaves its files: a folder of its own, which only this process's user reads and writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fieldstone import conf
from fieldstone.errors import FieldstoneError


class FolderUnsafeError(FieldstoneError):
    """Somebody else could read, or exchange, what is written there."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a folder that only this process's user can write to: set JOBS_FOLDER.")


def folder_of(number: int) -> Path:
    """A job's folder, which need not be there yet."""
    return conf.jobs_folder() / f"job-{number}"


def make(folder: Path) -> None:
    """Make a job's folder where it is missing, and the one that holds all of them.

    Raises ``FolderUnsafeError``, for either of them, and ``OSError``.
    """
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH:
            raise FolderUnsafeError(path)
