"""``fs``: folders of files that blocks keep for learners, in Django's default storage."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import default_storage
from fs.osfs import OSFS
from xblock.core import XBlock
from xblock.fields import Field, UserScope, scope_key

from fieldstone.runtime.services.host import Host
from fieldstone.runtime.wiring.errors import NobodyError
from fieldstone.runtime.wiring.viewers import visitor_of

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
    """What XBlock's field ``Filesystem`` asks: a folder for the field, in its scope.

    What is a learner's own is in another folder for a visitor, and for an author's preview.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def load(self, field: Field, block: XBlock) -> Any:
        """Raises ``NobodyError``; ``NotImplementedError`` where the default storage has no folders here."""
        whose = self._whose() if field.scope.user is UserScope.ONE else ""
        return StoredFiles(f"{FOLDER}/{whose}{scope_key(field, block)}")

    def _whose(self) -> str:
        """In front of the scope's key, in which all visitors are one user, and a preview its author."""
        viewer = self._host.viewer
        if viewer.is_persisted:
            return ""
        if viewer.is_author:
            return f"previews/{viewer.user.pk}/"
        if viewer.session is None or visitor_of(viewer.session) is None:
            raise NobodyError
        return f"visitors/{viewer.pseudonym(str(self._host.course.key))}/"
