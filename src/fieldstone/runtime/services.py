"""The services that published blocks ask a runtime for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.utils.crypto import salted_hmac
from opaque_keys.edx.keys import CourseKey
from xblock.core import XBlock
from xblock.runtime import NullI18nService

from fieldstone.runtime.course import Course

_USER_ID = "edx-platform.user_id"
_USERNAME = "edx-platform.username"
_IS_STAFF = "edx-platform.user_is_staff"
_IS_AUTHENTICATED = "edx-platform.is_authenticated"
_ANONYMOUS_ID = "edx-platform.anonymous_user_id"
_DEPRECATED_ANONYMOUS_ID = "edx-platform.deprecated_anonymous_user_id"


@dataclass(frozen=True)
class CurrentUser:
    """What blocks may know of the learner: the attributes of XBlock's own ``XBlockUser``."""

    emails: list[str]
    full_name: str
    is_current_user: bool = True
    opt_attrs: dict[str, Any] = field(default_factory=dict)


class LearnerService:
    """``user``: who is looking, under the names that Open edX gives the attributes."""

    def __init__(self, user: Any, course_key: CourseKey) -> None:
        self._user = user
        self._course_key = course_key

    def get_current_user(self) -> CurrentUser:
        user = self._user
        return CurrentUser(
            emails=[user.email] if getattr(user, "email", "") else [],
            full_name=user.get_full_name() if user.is_authenticated else "",
            opt_attrs={
                _IS_AUTHENTICATED: user.is_authenticated,
                _IS_STAFF: bool(user.is_staff),
                _USER_ID: user.pk,
                _USERNAME: user.get_username(),
                _ANONYMOUS_ID: self._anonymous_id(str(self._course_key)),
                _DEPRECATED_ANONYMOUS_ID: self._anonymous_id(""),
            },
        )

    def _anonymous_id(self, course: str) -> str:
        """An id that does not tell who the learner is, the same every time: blocks send it to others' servers."""
        return salted_hmac("fieldstone.anonymous_id", f"{self._user.pk}/{course}").hexdigest()[:32]


class SandboxService:
    """``sandbox``: Python from course authors is not run; Open edX runs it in codejail."""

    def can_execute_unsafe_code(self) -> bool:
        return False

    def get_python_lib_zip(self) -> None:
        return None


class ReplaceUrlsService:
    """``replace_urls``: course-relative addresses in HTML become real ones.

    ``/static/x`` is the file of that name in the course's ``static`` folder, ``/jump_to_id/x`` the page of the
    block ``x``. What the course does not have stays as it is.
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


class SettingsService:
    """``settings``: a site's settings for its blocks; here every block has its defaults."""

    def get_settings_bucket(self, block: XBlock, default: Any = None) -> Any:
        return {} if default is None else default


class NoXQueue:
    """``xqueue``: external graders. There is none; a block that submits to one gets a clear error."""

    default_queuename = "none"

    @property
    def interface(self) -> Any:
        raise NotImplementedError("This runtime has no external grader (xqueue).")

    def construct_callback(self, dispatch: str = "score_update") -> str:
        raise NotImplementedError("This runtime has no external grader (xqueue).")


def stateless_services() -> dict[str, Any]:
    """The services that are the same for every course and learner."""
    return {
        "cache": cache,
        "i18n": NullI18nService(),
        "sandbox": SandboxService(),
        "settings": SettingsService(),
        "xqueue": NoXQueue(),
    }
