"""How rows become a file: first pieces, one a chunk, then the whole; neither holds more than a few rows."""

from __future__ import annotations

import csv
import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from io import BufferedIOBase
from typing import IO, Any, ClassVar

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.export.columns import Columns, Holds, Row
from fieldstone.values import encode_value


class Format(ABC):
    """A format; pieces of the same rows are the same bytes, and so is what is put together of them."""

    name: ClassVar[str]
    """Its name, and the ending of its files."""

    @abstractmethod
    def write(self, columns: Columns, rows: Iterable[Row], file: IO[bytes]) -> int:
        """A piece; how many rows there were."""

    @abstractmethod
    def put_together(self, columns: Columns, pieces: Iterable[IO[bytes]], file: BufferedIOBase) -> None:
        """The whole, of pieces in their order; each is read before the next is asked for."""


class TextFormat(Format):
    """Lines that can be appended to each other, after a head."""

    def head(self, columns: Columns) -> bytes:
        """What comes before the first row."""
        return b""

    def put_together(self, columns: Columns, pieces: Iterable[IO[bytes]], file: BufferedIOBase) -> None:
        file.write(self.head(columns))
        for piece in pieces:
            shutil.copyfileobj(piece, file)


class JsonLines(TextFormat):
    """An object a line; what Fieldstone writes is ASCII."""

    name = "jsonl"

    def write(self, columns: Columns, rows: Iterable[Row], file: IO[bytes]) -> int:
        names = [encode_value(column.name) for column in columns]
        count = 0
        for row in rows:
            texts = (_json(column.holds, value) for column, value in zip(columns, row, strict=True))
            pairs = ", ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True))
            file.write(f"{{{pairs}}}\n".encode())
            count += 1
        return count


class Csv(TextFormat):
    """RFC 4180, in UTF-8: a header, lines that end with CR and LF; ``None`` is an empty field."""

    name = "csv"

    def head(self, columns: Columns) -> bytes:
        head = io.BytesIO()
        self._write([[column.name for column in columns]], head)
        return head.getvalue()

    def write(self, columns: Columns, rows: Iterable[Row], file: IO[bytes]) -> int:
        return self._write(([_plain(value) for value in row] for row in rows), file)

    def _write(self, rows: Iterable[Row], file: IO[bytes]) -> int:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        count = 0
        for row in rows:
            writer.writerow(row)
            count += 1
        text.detach()  # flushes, and leaves the file open
        return count


PARQUET = "parquet"

NAMES = (JsonLines.name, Csv.name, PARQUET)


def format_of(name: str) -> Format:
    """The format of that name, if what it needs is there. Raises ``JobRefusedError``."""
    if name not in NAMES:
        raise JobRefusedError(f"There is no format {name!r}. There are {', '.join(NAMES)}.")
    if name != PARQUET:
        return Csv() if name == Csv.name else JsonLines()
    if find_spec("pyarrow") is None:
        raise JobRefusedError(
            'Parquet needs pyarrow, which is not installed: `pip install "fieldstone[parquet]"`.'
        )
    made: Format = import_module("fieldstone.jobs.export.parquet").Parquet()
    return made


def moment_text(moment: datetime) -> str:
    """ISO 8601, always to the microsecond."""
    return moment.isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    return moment_text(value) if isinstance(value, datetime) else value


def _json(holds: Holds, value: Any) -> str:
    if holds is Holds.JSON and value is not None:
        # Texts that SQL has brought in may have line breaks between values; within strings JSON has none.
        return str(value).replace("\r", " ").replace("\n", " ")
    return encode_value(_plain(value))
