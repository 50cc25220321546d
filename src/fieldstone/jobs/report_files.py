"""A job's report as a file: JSON, and a page that needs nothing beside itself; written as they are read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from django.template import Context, Engine

from fieldstone.jobs import folders
from fieldstone.jobs.models import Job
from fieldstone.jobs.report import NOTES_AT_A_TIME, Report, Told

log = logging.getLogger(__name__)


def as_json(report: Report) -> Iterator[str]:
    """The report in pieces of JSON: the facts, ``failures``, and of a dry run ``would``."""
    yield json.dumps(report.facts(), indent=2).removesuffix("\n}")
    yield from _list_of("failures", "reason", report.failures())
    if report.job.is_dry_run:
        yield from _list_of("would", "would", report.would())
    yield "\n}\n"


def as_html(report: Report) -> Iterator[str]:
    """The report in pieces of HTML; it can be printed, and has its styles in itself."""
    yield _render("start", {"report": report, "job": report.job})
    if report.failed:
        yield from _table("Failures", "Reason", report.failures())
    if report.job.is_dry_run:
        yield from _table("What would change", "Change", report.would())
    yield _render("end", {})


FORMATS: Mapping[str, Callable[[Report], Iterator[str]]] = {"json": as_json, "html": as_html}


def write(path: Path, pieces: Iterator[str]) -> None:
    """A whole file, or none: a reader never sees half of one. Raises ``OSError``."""
    half = path.with_name(f".{path.name}.new")
    with half.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
    half.replace(path)


def write_report(job: Job) -> None:
    """``report.json`` and ``report.html`` in the job's folder; where that fails it is logged, and that is all."""
    folder = folders.folder_of(job.pk)
    try:
        folders.make(folder)  # learners' names are in it
        report = Report.of(job)
        for name, pieces in FORMATS.items():
            write(folder / f"report.{name}", pieces(report))
    except Exception:  # the job is done, whatever comes of its report
        log.exception("The report of job %s could not be written into %s", job.pk, folder)


def _list_of(name: str, text: str, notes: Iterator[Told]) -> Iterator[str]:
    yield f',\n  "{name}": ['
    end = "]"
    for note in notes:
        entry = {"learner": note.learner, "username": note.username, "usage_key": note.usage_key, text: note.text}
        yield ("\n    " if end == "]" else ",\n    ") + json.dumps(entry)
        end = "\n  ]"
    yield end


def _table(title: str, column: str, notes: Iterator[Told]) -> Iterator[str]:
    yield _render("table", {"title": title, "column": column})
    while batch := list(islice(notes, NOTES_AT_A_TIME)):
        yield _render("rows", {"notes": batch, "column": column})
    yield "</tbody></table></section>\n"


@cache
def _engine() -> Engine:
    """Of our own: a worker's site may have no templates at all."""
    return Engine(dirs=[str(Path(__file__).parent / "templates" / "fieldstone_jobs")])


def _render(name: str, context: dict[str, Any]) -> str:
    return _engine().get_template(f"report_{name}.html").render(Context(context))
