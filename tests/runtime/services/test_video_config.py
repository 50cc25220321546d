"""Transcripts of the block ``video``, in the formats that there are and those that it asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opaque_keys.edx.locator import CourseLocator
from xblock.exceptions import NotFoundError

from fieldstone.runtime.course import Course, CourseBlock
from fieldstone.runtime.services.video_config import (
    VideoConfigService,
    as_sjson,
    as_srt,
    cues_of_sjson,
    cues_of_srt,
)

SRT = "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n01:02:03,004 --> 01:02:05,000\nTwo\nlines.\n"


class Video:
    """What the service asks of a video."""

    def __init__(self, sub: str = "", **transcripts: str) -> None:
        self._info = {"sub": sub, "transcripts": transcripts}

    def get_transcripts_info(self, is_bumper: bool = False) -> dict[str, Any]:
        return self._info

    def get_default_transcript_language(self, transcripts: dict[str, Any]) -> str:
        return "en"


@pytest.fixture
def service(tmp_path: Path) -> VideoConfigService:
    static = tmp_path / "course" / "static"
    static.mkdir(parents=True)
    (static / "talk.srt").write_text(SRT)
    (static / "windows.srt").write_bytes(b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode())
    (static / "subs_old.srt.sjson").write_text(json.dumps({"start": [0], "end": [1500], "text": ["Old."]}))
    (tmp_path / "course" / "secret.srt").write_text(SRT)
    key = CourseLocator("org", "course", "run")
    root = CourseBlock(key.make_usage_key("course", "run"), "course", None, "Course")  # type: ignore[no-untyped-call]
    return VideoConfigService(Course(key, tmp_path / "course", root, {}, []))


def test_a_subrip_file_reads_back_as_it_was() -> None:
    assert as_srt(cues_of_srt(SRT)) == SRT.strip()


def test_the_two_formats_say_the_same() -> None:
    assert cues_of_sjson(as_sjson(cues_of_srt(SRT))) == cues_of_srt(SRT)


@pytest.mark.parametrize("name", ["talk.srt", "windows.srt"])
def test_a_transcript_is_given_in_the_format_that_is_asked_for(service: VideoConfigService, name: str) -> None:
    content, file_name, mime_type = service.get_transcript(Video(en=name), "en", "sjson")
    assert json.loads(content) == {"start": [0, 3723004], "end": [1500, 3725000], "text": ["One.", "Two\nlines."]}
    assert (file_name, mime_type) == (name.replace(".srt", ".sjson"), "application/json; charset=utf-8")
    assert service.get_transcript(Video(en=name), "en", "txt")[0] == b"One.\nTwo\nlines."


def test_an_older_transcript_is_found_by_its_id(service: VideoConfigService) -> None:
    content, name, _ = service.get_transcript(Video(sub="old"))
    assert (content, name) == (b"1\n00:00:00,000 --> 00:00:01,500\nOld.", "subs_old.srt")


def test_only_languages_with_a_file_are_offered(service: VideoConfigService) -> None:
    video = Video(sub="old", de="talk.srt", fr="missing.srt")
    assert service.available_translations(video, video.get_transcripts_info()) == ["de", "en"]


@pytest.mark.parametrize("name", ["missing.srt", "../secret.srt", "/etc/hostname"])
def test_what_is_no_file_of_the_static_folder_is_not_found(service: VideoConfigService, name: str) -> None:
    with pytest.raises(NotFoundError):
        service.get_transcript(Video(en=name), "en")
