"""The file of named budgets: how it is read, and written by several processes."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.core.files import locks

from fieldstone.testing.budgets.errors import BudgetsFileError
from fieldstone.testing.budgets.uses import Named, Numbers, Uses

SHAPE = '{"list of posts": {"default": 2}}'


@dataclass(frozen=True, slots=True)
class Change:
    """Of one name in the file."""

    name: str
    before: Numbers | None
    """None where the name is new."""
    after: Numbers


def read(path: Path) -> Named:
    """The budgets of a file; none if there is no such file. Raises ``BudgetsFileError`` for a broken one."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return {}
    return _parsed(path, (status.st_ino, status.st_mtime_ns, status.st_size))


def merge(path: Path, measured: Mapping[str, Numbers]) -> list[Change]:
    """Put these into the file in place of what it has under the same names, and say what that changed.

    Other names stay. Readers find the file as it was or as it is, never a part of it; if nothing changes it is
    not touched. Raises ``BudgetsFileError`` for a broken file, and leaves it.
    """
    with _locked(path):
        return _merged(path, measured)


def merge_of_run(path: Path, run: str, uses: Uses) -> Uses:
    """``merge``, where several processes of one run each write for themselves: the most of them all stays.

    Gives what all of them have measured. Of names whose uses differ nothing more is written.
    """
    with _locked(path) as notes:
        known = _notes_of(run, notes.read())
        known.join(uses)
        notes.seek(0)
        notes.truncate()
        json.dump({"run": run, "uses": known.data}, notes)
        notes.flush()
        _merged(path, {name: numbers for name, numbers in known.recordable.items() if name in uses.most})
        return known


def _merged(path: Path, measured: Mapping[str, Numbers]) -> list[Change]:
    named = read(path)
    changes = [
        Change(name, named.get(name), numbers)
        for name, numbers in sorted(measured.items())
        if named.get(name) != numbers
    ]
    if changes:
        _write(path, {**named, **measured})
    return changes


def _write(path: Path, named: Mapping[str, Numbers]) -> None:
    path = path.resolve()  # what a link points at is replaced, and the link stays
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(json.dumps(named, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        if path.exists():
            shutil.copymode(path, new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@functools.lru_cache(maxsize=8)
def _parsed(path: Path, _stamp: object) -> Named:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_doubles)
    except ValueError as error:
        raise BudgetsFileError(f"{path} is not JSON ({error}). Mend it, or take back what changed it.") from error
    if not isinstance(content, dict):
        raise BudgetsFileError(f"{path} has to be an object of names: {SHAPE}")
    return {name: _numbers(path, name, numbers) for name, numbers in content.items()}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that is there twice most likely came of a merge of two branches: neither number may be right."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f'"{name}" is in it twice')
        found[name] = value
    return found


def _numbers(path: Path, name: str, numbers: object) -> Numbers:
    if not isinstance(numbers, dict):
        raise BudgetsFileError(f'"{name}" in {path} has to have a number for each database: {SHAPE}')
    for alias, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise BudgetsFileError(
                f'"{name}" in {path} has {number!r} for {alias}: a number of queries is 0 or more.'
            )
    return {alias: number for alias, number in numbers.items() if number}


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Alone among all processes with this file; gives what they keep for each other meanwhile.

    That is a file of the temporary folder: one beside the budgets would have to be ignored by version control,
    and the budgets' own is another one after each writing.
    """
    key = hashlib.sha256(f"{getattr(os, 'getuid', int)()}:{path.resolve()}".encode()).hexdigest()[:16]
    beside = Path(tempfile.gettempdir()) / f"fieldstone-query-budgets-{key}.lock"
    with beside.open("a+", encoding="utf-8") as notes:
        locks.lock(notes, locks.LOCK_EX)
        notes.seek(0)
        yield notes  # to close it gives back the lock


def _notes_of(run: str, text: str) -> Uses:
    """What this run has measured so far; nothing if the notes are of an earlier one, or were cut short."""
    try:
        notes = json.loads(text)
    except ValueError:
        return Uses()
    return Uses(**notes["uses"]) if notes["run"] == run and "uses" in notes else Uses()
