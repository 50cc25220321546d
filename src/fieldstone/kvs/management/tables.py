"""Tables for people: by ``rich`` on a terminal that has it, else as text in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TextIO


@dataclass(frozen=True)
class Table:
    """Rows of text below their headings. A heading that begins with a space is of numbers, put to the right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    alarming: frozenset[int] = field(default=frozenset())
    """Numbers of rows that somebody should look at."""


Show = Callable[[Sequence[Table], str], None]
"""Takes the tables, and a note that stands below."""


@contextmanager
def screen(out: TextIO, *, is_live: bool) -> Iterator[Show]:
    """Something to show tables on; with ``is_live`` the next ones take those's place, on a terminal."""
    # Optional, so looked for only here.
    if not out.isatty() or find_spec("rich") is None:
        yield lambda tables, note: _print(tables, note, out)
        return
    console = import_module("rich.console").Console(file=out)
    if not is_live:
        yield lambda tables, note: console.print(_group(tables, note))
        return
    with import_module("rich.live").Live(console=console, auto_refresh=False) as live:
        yield lambda tables, note: live.update(_group(tables, note), refresh=True)


def _print(tables: Sequence[Table], note: str, out: TextIO) -> None:
    for table in tables:
        rows = [table.headings, *([cell.replace("\n", "; ") for cell in row] for row in table.rows)]
        widths = [max(len(cell.strip()) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (
                cell.strip().rjust(width) if heading.startswith(" ") else cell.ljust(width)
                for cell, width, heading in zip(row, widths, table.headings, strict=True)
            )
            out.write(f"{'  '.join(cells).rstrip()}\n")
        out.write("\n")
    out.write(f"{note}\n")
    out.flush()


def _group(tables: Sequence[Table], note: str) -> Any:
    text = import_module("rich.text").Text
    shown: list[Any] = []
    for table in tables:
        drawn = import_module("rich.table").Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for heading in table.headings:
            is_number = heading.startswith(" ")
            drawn.add_column(heading.strip(), justify="right" if is_number else "left", overflow="fold")
        for number, row in enumerate(table.rows):
            # As Text: what servers say may hold what rich takes for markup.
            drawn.add_row(*map(text, row), style="red" if number in table.alarming else None)
        shown += [drawn, ""]
    return import_module("rich.console").Group(*shown, text(note, style="dim"))
