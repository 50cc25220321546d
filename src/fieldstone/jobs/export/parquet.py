"""Parquet, by pyarrow. Its files end with an index of what is in them and cannot be appended to each other.

So a piece is lines of JSON, an array a row, and the whole is made of them in row groups. These do not depend on
where a piece ends: pieces that were cut otherwise, since a worker was killed, give the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import BufferedIOBase
from typing import IO, Any

# pyarrow publishes no types.
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from fieldstone.jobs.export.columns import Columns, Holds, Row
from fieldstone.jobs.export.formats import PARQUET, Format, moment_text

ROWS_TO_A_GROUP = 10_000
BYTES_TO_A_GROUP = 8 * 1024 * 1024
"""Of lines of pieces; what ends a group first. It is what is held in memory."""

_TYPES = {
    Holds.INTEGER: pa.int64(),
    Holds.NUMBER: pa.float64(),
    Holds.TEXT: pa.string(),
    Holds.MOMENT: pa.timestamp("us", tz="UTC"),
    Holds.JSON: pa.string(),
}


class Parquet(Format):
    """One table; moments are timestamps in UTC, fields JSON text."""

    name = PARQUET

    def write(self, columns: Columns, rows: Iterable[Row], file: IO[bytes]) -> int:
        moments = [index for index, column in enumerate(columns) if column.holds is Holds.MOMENT]
        count = 0
        for row in rows:
            values = list(row)
            for index in moments:
                values[index] = row[index] and moment_text(row[index])
            file.write(json.dumps(values).encode() + b"\n")
            count += 1
        return count

    def put_together(self, columns: Columns, pieces: Iterable[IO[bytes]], file: BufferedIOBase) -> None:
        schema = pa.schema([(column.name, _TYPES[column.holds]) for column in columns])
        with pq.ParquetWriter(file, schema) as writer:
            for rows in _groups(line for piece in pieces for line in piece):
                arrays = [
                    _array(column.holds, values)
                    for column, values in zip(columns, zip(*rows, strict=True), strict=True)
                ]
                writer.write_table(pa.table(arrays, schema=schema), row_group_size=len(rows))


def _groups(lines: Iterable[bytes]) -> Iterator[list[Any]]:
    rows, size = [], 0
    for line in lines:
        rows.append(json.loads(line))
        size += len(line)
        if len(rows) >= ROWS_TO_A_GROUP or size >= BYTES_TO_A_GROUP:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _array(holds: Holds, values: Iterable[Any]) -> Any:
    if holds is Holds.MOMENT:
        values = [value and datetime.fromisoformat(value) for value in values]
    return pa.array(values, type=_TYPES[holds])
