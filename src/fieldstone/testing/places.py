"""Where in a project's code, or in its templates, something was asked of the database."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import asgiref
import django

from fieldstone.testing.awaiting import HANDLER, frames_awaiting

HERE = str(Path(__file__).parent) + os.sep
CONTRACTS = str(Path(__file__).parent / "contracts") + os.sep
PLUMBING = tuple(
    str(Path(module.__file__ or "").parent) + os.sep for module in (django, asgiref)
)  # even where a project keeps its own copy of them
LIBRARIES = tuple(
    {sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
TEMPLATES = str(Path(django.__file__).parent / "template" / "base.py")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the project's own code: not of Django, nor of an installed package, if there is any other."""

    path: str
    """Relative to the working directory where it is below it; of a template, its name."""
    line: int
    function: str = ""
    """Empty for a template."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" + (f" in {self.function}" if self.function else "")


class Caller(NamedTuple):
    place: Place
    frames: list[FrameType]
    """From the innermost outwards, as far as the place: they tell more, as long as the call lasts."""


def caller(frame: FrameType | None = None) -> Caller:
    """The innermost line of the project's own, or of a template, that led to what runs now (or to ``frame``).

    Costs some microseconds for each frame between.
    """
    seen: list[FrameType] = []
    fallback: Place | None = None
    for each in _outwards(frame or sys._getframe(1)):
        seen.append(each)
        code = each.f_code
        if code.co_filename == TEMPLATES and code.co_name == "render_annotated":
            node = each.f_locals.get("self")
            origin, token = getattr(node, "origin", None), getattr(node, "token", None)
            if origin is not None and token is not None:
                name = getattr(origin, "template_name", None) or str(origin)
                return Caller(Place(_short(str(name)), token.lineno or 0), seen)
        if is_own(code.co_filename):
            return Caller(_place(each), seen)
        if fallback is None and not code.co_filename.startswith((HERE, *PLUMBING)):
            fallback = _place(each)
    return Caller(fallback or Place("<unknown>", 0), seen)


@functools.cache
def is_own(filename: str) -> bool:
    """Whether a file is the project's, rather than a library's, Django's, or this package's."""
    if filename.startswith("<") or filename.startswith(PLUMBING):
        return False
    if filename.startswith(HERE):
        return filename.startswith(CONTRACTS)
    return not filename.startswith(LIBRARIES) and "site-packages" not in filename


def place_in(filename: str, line: int, function: str) -> Place:
    """A place of a traceback's entry."""
    return Place(_short(filename), line, function)


def _place(frame: FrameType) -> Place:
    return place_in(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname.rpartition("<locals>.")[2])


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        if frame.f_code is HANDLER:
            yield from frames_awaiting(frame)
        frame = frame.f_back


def _short(filename: str) -> str:
    return _below(filename, os.getcwd())  # noqa: PTH109 (its Path costs more than all the rest)


@functools.cache
def _below(filename: str, folder: str) -> str:
    path = Path(filename)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else filename
