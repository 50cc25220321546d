"""``fs``: folders of files that blocks keep for learners, in Django's default storage."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import default_storage
from fs.osfs import OSFS
from xblock.core import XBlock
from xblock.fields import Field, scope_key

FOLDER = "xblock-files"


class StoredFiles(OSFS):
    """A folder, as PyFilesystem has it; names that lead out of it are refused there."""

    def __init__(self, folder: str) -> None:
        super().__init__(default_storage.path(folder), create=True)
        self._folder = folder

    def get_url(self, name: str, timeout: int = 0) -> str:
        """Where the file is served; it is there as long as the file is, whatever the timeout."""
        return str(default_storage.url(f"{self._folder}/{name}"))

    def expire(self, name: str, seconds: int, days: int = 0, expires: bool = True) -> None:
        """Nothing is deleted by itself."""


class FilesService:
    """What XBlock's field ``Filesystem`` asks: a folder for the field, in its scope."""

    def load(self, field: Field, block: XBlock) -> Any:
        """Raises ``NotImplementedError`` where the default storage has no folders on this machine."""
        return StoredFiles(f"{FOLDER}/{scope_key(field, block)}")
