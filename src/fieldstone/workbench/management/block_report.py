"""What ``manage.py fieldstone_block`` writes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fieldstone.runtime.anatomy import anatomy
from fieldstone.runtime.block_types import EXTRACTED, OWN
from fieldstone.runtime.entry_points import Attempt, Candidate
from fieldstone.runtime.load_errors import cause_of, missing_requirements, short_traceback
from fieldstone.runtime.services import service_names

WIDTH = 100
TO_PROVIDE = 'not provided: FIELDSTONE = {{"SERVICES": {{"{}": "dotted.path"}}}}'


@dataclass(frozen=True)
class Line:
    text: str
    kind: str = ""
    """``good``, ``bad`` or nothing."""


Report = tuple[bool, list[Line]]
"""Can it be loaded, or can all? And the lines that say so."""


def overview(loaded: Sequence[tuple[Candidate, Exception | None]]) -> Report:
    """A line for each candidate."""
    if not loaded:
        return True, [Line("No package with blocks is installed.")]
    rows = [(candidate.name, candidate.package, candidate.value) for candidate, _ in loaded]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, (candidate, error) in zip(rows, loaded, strict=True):
        columns = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        state = f"cannot be loaded: {_short(error)}" if error else "loads"
        lines.append(Line(f"{columns}  {_kind(candidate)} {state}", "bad" if error else ""))
    failed = sum(error is not None for _, error in loaded)
    summary = f"{len(loaded)} blocks and asides, {failed} of them cannot be loaded"
    return not failed, [*lines, Line(summary, "bad" if failed else "good")]


def of_structure(tag: str, cls: type) -> Report:
    """A tag that needs no package."""
    return True, [Line(f"<{tag}> is the runtime's own: {cls.__module__}.{cls.__qualname__}", "good"), *_parts(cls)]


def of_attempts(tag: str, attempts: Sequence[Attempt], everything: Sequence[Candidate]) -> Report:
    """A tag that a package has to serve."""
    last = attempts[-1]
    lines = [line for attempt in attempts for line in _search(attempt)]
    if not last.candidates:
        return False, [*lines, *_not_installed(tag, everything)]
    if last.cls is not None and last.chosen is not None:
        source = inspect.getsourcefile(last.cls) or "no file"
        lines += [
            Line(f"<{tag}> can be loaded from {last.chosen.package}", "good"),
            Line(f"  class    {last.cls.__module__}.{last.cls.__qualname__}"),
            Line(f"  file     {source}"),
        ]
        return True, [*lines, *_parts(last.cls)]
    return False, [*lines, *_failure(tag, last)]


def _search(attempt: Attempt) -> Iterator[Line]:
    if not attempt.candidates:
        yield Line(f"entry point {attempt.name}: no installed package has it")
        return
    yield Line(f"entry point {attempt.name}:")
    for candidate in attempt.candidates:
        taken = "  (taken)" if candidate is attempt.chosen else ""
        yield Line(f"  {candidate.package}  {candidate.value}  {_kind(candidate)}{taken}")


def _not_installed(tag: str, everything: Sequence[Candidate]) -> Iterator[Line]:
    yield Line(f"No installed package provides <{tag}>.", "bad")
    published = {candidate.name.lower(): candidate.name for candidate in everything}
    found = published.get(tag.lower(), "")
    if found != found.lower():
        yield Line(
            f"  There is an entry point {found}, with capitals in its name. XBlock looks names up in "
            "lower case and never finds it: that is for its package to mend."
        )
        return
    extracted = {name for name, entry_point in EXTRACTED.items() if entry_point in published}
    close = get_close_matches(tag.lower(), sorted({*published.values(), *OWN, *extracted}), n=3)
    if close:
        yield Line(f"  Installed are: {', '.join(close)}.")
    yield Line(
        f'  Install the package that does, or map the tag: FIELDSTONE = {{"BLOCK_ALIASES": {{"{tag}": "..."}}}}.'
    )


def _failure(tag: str, attempt: Attempt) -> Iterator[Line]:
    error = attempt.error or RuntimeError("nothing was raised")
    yield Line(f"<{tag}> cannot be loaded.", "bad")
    for text in short_traceback(error):
        yield Line(f"  {text}")
    yield Line(f"  {cause_of(error, attempt.chosen)}", "bad")
    package = attempt.chosen.distribution if attempt.chosen else None
    missing = missing_requirements(package) if package else []
    if missing:
        yield Line(f"  The package requires what is not installed: {', '.join(missing)}.", "bad")


def _parts(cls: Any) -> Iterator[Line]:
    parts = anatomy(cls)
    yield from _listed("views", parts.views)
    yield from _listed("handlers", parts.handlers)
    for number, (scope, names) in enumerate(parts.fields.items()):
        yield from _listed("" if number else "fields", names, f"{scope}: ")
    provided = service_names()
    for number, (name, wish) in enumerate(parts.services.items()):
        state = "provided" if name in provided else TO_PROVIDE.format(name)
        kind = "bad" if wish == "need" and name not in provided else ""
        yield Line(f"  {'' if number else 'services':8} {name}: {wish}ed, {state}", kind)


def _listed(title: str, names: Sequence[str], before: str = "") -> Iterator[Line]:
    """Names with commas between, on as many lines as they need."""
    line = f"  {title:8} {before}"
    for number, name in enumerate(names):
        piece = name + ("," if number < len(names) - 1 else "")
        if len(line) + len(piece) > WIDTH and line.strip():
            yield Line(line.rstrip())
            line = " " * 11
        line += piece + " "
    yield Line(line.rstrip() if names else f"{line}none")


def _kind(candidate: Candidate) -> str:
    return ("aside" if candidate.is_aside else "block") + (", override" if candidate.is_override else "")


def _short(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first[:WIDTH]}"
