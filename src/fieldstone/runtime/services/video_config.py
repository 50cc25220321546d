"""``video_config``: where the block ``video`` finds its transcripts, and what a site lets it do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opaque_keys.edx.keys import CourseKey
from xblock.core import XBlock
from xblock.exceptions import NotFoundError

from fieldstone.runtime.course import Course

MIME_TYPES = {"srt": "application/x-subrip", "txt": "text/plain", "sjson": "application/json"}
_CUE = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{3})\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d{3})[^\n]*\n?")


@dataclass(frozen=True)
class Cue:
    """One subtitle."""

    start: int
    """In milliseconds from the beginning."""
    end: int
    text: str


class VideoConfigService:
    """Transcripts are files in the course's ``static`` folder; streaming formats and sharing are off.

    A transcript is in SubRip (``.srt``), or in Open edX's JSON (``subs_<id>.srt.sjson``), and is given in either
    or as plain text.
    """

    def __init__(self, course: Course) -> None:
        self._folder = (course.folder / "static").resolve()

    def available_translations(
        self,
        video: XBlock,
        transcripts: Mapping[str, Any],
        verify_assets: bool | None = None,
        is_bumper: bool = False,
    ) -> list[str]:
        """The languages that there is a transcript in."""
        languages = [*transcripts["transcripts"]]
        if transcripts["sub"] and "en" not in languages:
            languages.append("en")
        return [language for language in languages if self._file(language, transcripts)]

    def get_transcript(
        self,
        video: XBlock,
        lang: str | None = None,
        output_format: str = "srt",
        youtube_id: str | None = None,
        is_bumper: bool = False,
    ) -> tuple[bytes, str, str]:
        """Content, file name and type of a transcript. Raises ``NotFoundError`` when the course has none."""
        transcripts = video.get_transcripts_info(is_bumper)
        path = self._file(lang or video.get_default_transcript_language(transcripts), transcripts)
        if path is None:
            raise NotFoundError
        text = path.read_text(encoding="utf-8-sig")
        cues = cues_of_sjson(text) if path.suffix == ".sjson" else cues_of_srt(text)
        content = {"srt": as_srt, "sjson": as_sjson, "txt": as_text}[output_format](cues)
        name = f"{path.name.removesuffix('.sjson').removesuffix('.srt')}.{output_format}"
        return content.encode(), name, f"{MIME_TYPES[output_format]}; charset=utf-8"

    def is_hls_playback_enabled(self, course_key: CourseKey) -> bool:
        return False

    def is_youtube_deprecated(self, course_key: CourseKey) -> bool:
        return False

    def is_youtube_blocked_for_course(self, course_key: CourseKey) -> bool:
        return False

    def is_transcript_feedback_enabled(self, course_key: CourseKey) -> bool:
        return False

    def get_public_video_url(self, video: XBlock) -> str:
        return ""

    def get_public_sharing_context(self, video: XBlock, course_key: CourseKey) -> dict[str, Any]:
        return {}

    def _file(self, language: str, transcripts: Mapping[str, Any]) -> Path | None:
        """The file of a language, when there is one inside the folder."""
        name = transcripts["transcripts"].get(language)
        if not name and language == "en" and transcripts["sub"]:
            name = f"subs_{transcripts['sub']}.srt.sjson"
        if not name:
            return None
        path = (self._folder / name).resolve()
        return path if path.is_relative_to(self._folder) and path.is_file() else None


def cues_of_srt(text: str) -> list[Cue]:
    """The subtitles of a SubRip file; what is no subtitle is passed over."""
    cues = []
    text = text.replace("\r\n", "\n")
    marks = list(_CUE.finditer(text))
    for number, mark in enumerate(marks):
        until = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        # An empty line ends a subtitle; what follows it is the next one's number.
        said = text[mark.end() : until].split("\n\n")[0].strip()
        start, end = (_milliseconds(mark.groups()[at : at + 4]) for at in (0, 4))
        cues.append(Cue(start, end, said))
    return cues


def cues_of_sjson(text: str) -> list[Cue]:
    """The subtitles of Open edX's JSON: three lists of equal length."""
    lists = json.loads(text)
    return [Cue(*cue) for cue in zip(lists["start"], lists["end"], lists["text"], strict=True)]


def as_srt(cues: list[Cue]) -> str:
    return "\n\n".join(
        f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}"
        for number, cue in enumerate(cues, start=1)
    )


def as_sjson(cues: list[Cue]) -> str:
    return json.dumps(
        {
            "start": [cue.start for cue in cues],
            "end": [cue.end for cue in cues],
            "text": [cue.text for cue in cues],
        }
    )


def as_text(cues: list[Cue]) -> str:
    return "\n".join(cue.text for cue in cues)


def _milliseconds(parts: tuple[str, ...]) -> int:
    hours, minutes, seconds, thousandths = (int(part) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def _clock(milliseconds: int) -> str:
    seconds, thousandths = divmod(int(milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{thousandths:03}"
