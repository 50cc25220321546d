"""Which version of a course is there: a digest that is cheap to find out, without reading its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, entry_points
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from xblock.core import XBlock

import fieldstone.runtime
from fieldstone import conf


def version_of(folder: Path) -> str:
    """Of a course's folder: of the paths, sizes and times of its files, and of what reads them.

    Raises ``OSError`` when the folder cannot be listed.
    """
    digest = hashlib.sha256(reader_version().encode())
    for line in sorted(_stats(folder, "*")):
        digest.update(line)
    return digest.hexdigest()[:32]


def reader_version() -> str:
    """Of all that makes a course of the same files another one: the packages of the blocks, and the settings."""
    extra = [f"{name} {point}" for name, point in getattr(XBlock, "extra_entry_points", [])]
    aliases = sorted(conf.block_aliases().items())
    return json.dumps([_packages(), extra, aliases, sorted(settings.INSTALLED_APPS)])


@cache  # for a process, packages do not change: it has imported them
def _packages() -> str:
    digest = hashlib.sha256()
    # Versions tell packages apart, but not the states of one that is being worked on: there the times do.
    for line in sorted(_stats(Path(fieldstone.runtime.__file__).parent, "*.py")):
        digest.update(line)
    for group in (XBlock.entry_point, f"{XBlock.entry_point}.overrides"):
        points = {(p.name, p.value): p.dist for p in entry_points(group=group)}
        for (name, value), distribution in sorted(points.items()):
            version = distribution.version if distribution else ""
            digest.update(f"{name} {value} {version}\n".encode())
            if distribution is not None and _is_editable(distribution):
                for line in sorted(_sources(value)):
                    digest.update(line)
    return digest.hexdigest()


def _is_editable(distribution: Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _sources(value: str) -> Iterator[bytes]:
    spec = find_spec(value.partition(":")[0].partition(".")[0])
    for place in (spec.submodule_search_locations if spec else None) or ():
        yield from _stats(Path(place), "*.py")


def _stats(folder: Path, pattern: str) -> Iterator[bytes]:
    """A line for each file: path, size, times of its last change. Links to folders are not followed.

    Both times, of the content and of the entry: tools that copy files set the first, and nobody can set the other.
    Raises ``OSError`` about the folder itself; what vanishes meanwhile below it is not there.
    """
    ending = pattern.removeprefix("*")
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = list(found)
        except FileNotFoundError:
            if place == str(folder):
                raise
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.name.endswith(ending):
                yield from _line(entry)


def _line(entry: os.DirEntry[str]) -> Iterator[bytes]:
    try:
        stat = entry.stat(follow_symlinks=entry.is_file())  # a broken link has times of its own
    except FileNotFoundError:
        return
    line = f"{entry.path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n"
    yield line.encode(errors="surrogateescape")
