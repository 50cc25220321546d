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
        # Most texts have neither, and to look for these takes a fraction of what the expressions take.
        if "/static/" in text:
            text = self._STATIC.sub(self._static, text)
        if "/jump_to_id/" in text and not static_replace_only:
            text = self._JUMP.sub(self._jump, text)
        return text[
            :
        ]  # never a SafeString: blocks put what they get into attributes, and rely on its being escaped

    def _static(self, match: re.Match[str]) -> str:
        if ".." in match["name"].split("/") or not (self._folder / match["name"]).is_file():
            return match[0]
        return match["quote"] + self._asset_url(match["name"])

    def _jump(self, match: re.Match[str]) -> str:
        url = self._jump_url(match["name"])
        return match[0] if url is None else match["quote"] + url
