"""``replace_urls``: course-relative addresses in HTML become real ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fieldstone.runtime.course import Course


class ReplaceUrlsService:
    """``/static/x`` is the file of that name in the course's ``static`` folder, ``/jump_to_id/x`` the page of x.

    What the course does not have stays as it is.
    """

    _STATIC = re.compile(r"""(?P<quote>\\?["'(]|&quot;)/static/(?P<name>[^"'()<>&?#\\]+)""")
    _JUMP = re.compile(r"""(?P<quote>\\?["'])/jump_to_id/(?P<name>[\w.:-]+)/?(?=\\?["'#?])""")

    def __init__(
        self, course: Course, asset_url: Callable[[str], str], jump_url: Callable[[str], str | None]
    ) -> None:
        self._folder: Path = course.folder / "static"
        self._asset_url = asset_url
        self._jump_url = jump_url

    def replace_urls(self, text: str, static_replace_only: bool = False) -> str:
        text = self._STATIC.sub(self._static, text)
        return text if static_replace_only else self._JUMP.sub(self._jump, text)

    def _static(self, match: re.Match[str]) -> str:
        if ".." in match["name"].split("/") or not (self._folder / match["name"]).is_file():
            return match[0]
        return match["quote"] + self._asset_url(match["name"])

    def _jump(self, match: re.Match[str]) -> str:
        url = self._jump_url(match["name"])
        return match[0] if url is None else match["quote"] + url
