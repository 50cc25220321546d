"""Settings that blocks taken out of Open edX read from Django's: theirs are the names, and the values do nothing.

`video` reads all but the first and the last, `lti` the first, `edxval`, which `video` imports, the last two.
"""

from __future__ import annotations

from typing import Any

LMS_BASE = "127.0.0.1"
"""The host's part of an LTI link's id; once learners have results at a tool, never to be changed."""

FEATURES: dict[str, bool] = {}
LMS_ROOT_URL = ""
AI_TRANSLATIONS_API_URL = ""
COMPLETION_VIDEO_COMPLETE_PERCENTAGE = 0.95
LANGUAGE_DICT: dict[str, str] = {}
ALL_LANGUAGES: list[tuple[str, str]] = []
YOUTUBE: dict[str, Any] = {"API": "", "METADATA_URL": "", "IMAGE_API": "", "TEST_TIMEOUT": 1500}
YOUTUBE_API_KEY = ""
