"""``manage.py fieldstone_job report``: a job's report on the terminal, or as files."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandError

from fieldstone.jobs import control
from fieldstone.jobs.report import Report, Told
from fieldstone.jobs.report_files import FORMATS, write

SHOWN = 100
"""Failures on the terminal; files have all."""


def add_arguments(parser: ArgumentParser) -> None:
    """What ``report`` takes."""
    parser.add_argument("number", type=int, help="the job's")
    for name in FORMATS:
        parser.add_argument(f"--{name}", metavar="FILE", type=Path, help=f"write it there as {name.upper()}")


def report(options: dict[str, Any]) -> None:
    """Write the files that are asked for; without any, print it. Raises ``NoSuchJobError`` or ``CommandError``."""
    out: TextIO = options.get("stdout") or sys.stdout
    found = Report.of(control.get(options["number"]))
    paths = {name: path for name in FORMATS if (path := options.get(name))}
    for name, path in paths.items():
        try:
            write(path, FORMATS[name](found))
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror or error}.", returncode=2) from error
        out.write(f"{path}\n")
    if not paths:
        _print(found, out)


def _print(found: Report, out: TextIO) -> None:
    job = found.job
    dry = ", a dry run: nothing was written" if job.is_dry_run else ""
    out.write(f"job {job.pk}, {job.kind}, {job.status}{dry}\n")
    if job.message:
        out.write(f"{job.message}\n")
    numbers = [(name.capitalize(), number) for name, number in found.said.items()]
    relations = [(relation.words.capitalize(), f"job {relation.job}") for relation in found.relations]
    _table(out, ["", ""], [*numbers, *found.words(), *relations])
    _notes(out, "Failures", "Reason", found.failures(), found.failed)
    if job.is_dry_run:
        _notes(out, "What would change", "Change", found.would(), found.succeeded)


def _notes(out: TextIO, title: str, column: str, notes: Iterator[Told], total: int) -> None:
    rows = [(f"{note.username} ({note.learner})", note.usage_key, note.text) for note in islice(notes, SHOWN)]
    if not rows:
        return
    out.write(f"\n{title}\n")
    _table(out, ["Learner", "Block", column], rows)
    if total > len(rows):
        out.write(f"and {total - len(rows):,} more: --html FILE or --json FILE has what is kept of them.\n")


def _table(out: TextIO, columns: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    # Optional, and for terminals: what goes into a pipe has a line for a row.
    if out.isatty() and find_spec("rich") is not None:
        _rich_table(out, columns, rows)
        return
    lines = [tuple(columns), *rows] if any(columns) else rows
    widths = [max(len(row[number]) for row in lines) for number in range(len(columns) - 1)]
    for row in lines:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        out.write("  ".join([*cells, " ".join(row[-1].splitlines())]).rstrip() + "\n")


def _rich_table(out: TextIO, columns: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    console, table, text = (import_module(f"rich.{name}") for name in ("console", "table", "text"))
    shown = table.Table(box=None, show_header=any(columns), pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(text.Text(cell) for cell in row))  # as it is: keys may hold what rich takes for markup
    console.Console(file=out).print(shown)
