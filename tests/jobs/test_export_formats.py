"""What is written in a format is read back by that format's own readers, value by value."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, datetime
from itertools import chain

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.export import parquet
from fieldstone.jobs.export.columns import Column, Holds
from fieldstone.jobs.export.formats import NAMES, format_of, moment_text
from fieldstone.values import Fields, decode_value, encode_value
from tests.strategies import field_names, json_values

COLUMNS = tuple(Column(holds.name.lower(), holds) for holds in Holds)
TEXTS = st.text(st.characters(codec="utf-8"))
"""Whatever a database may hold."""
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)

fields = st.dictionaries(field_names, json_values, max_size=4).map(
    lambda values: Fields({name: encode_value(value) for name, value in values.items()}).as_json()
)
rows = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    TEXTS | st.sampled_from(["=1+1", "-1", "a,b", 'say "x"', "two\r\nlines", "\n", "", "é\u2028"]),
    st.datetimes(timezones=st.just(UTC)),
    fields,
)
pieces_of_rows = st.lists(st.lists(rows, max_size=4), max_size=4)


def whole(name, pieces):
    """The bytes of a file that is put together of pieces of these rows."""
    made, file = format_of(name), io.BytesIO()
    laid_down = []
    for piece in pieces:
        laid_down.append(io.BytesIO())
        assert made.write(COLUMNS, iter(piece), laid_down[-1]) == len(piece)
        laid_down[-1].seek(0)
    made.put_together(COLUMNS, iter(laid_down), file)
    return file.getvalue()


@given(pieces_of_rows)
def test_json_lines_hold_the_very_texts_of_the_values(pieces):
    lines = whole("jsonl", pieces).decode("ascii").splitlines()
    for line, (integer, number, text, moment, stored) in zip(lines, list(chain(*pieces)), strict=True):
        read = json.loads(line)
        assert list(read) == [column.name for column in COLUMNS]
        assert (read["integer"], read["number"], read["text"]) == (integer, number, text)
        assert read["moment"] == moment_text(moment)
        assert line.endswith(f', "json": {stored}}}'), "not decoded and encoded"


@given(pieces_of_rows)
def test_csv_is_read_back_as_it_was(pieces):
    text = whole("csv", pieces).decode()
    head, *lines = csv.reader(io.StringIO(text, newline=""))
    assert head == [column.name for column in COLUMNS]
    for line, row in zip(lines, list(chain(*pieces)), strict=True):
        integer, number, *texts = line
        assert (int(integer) if integer else None, float(number) if number else None) == row[:2]
        assert texts == [row[2], moment_text(row[3]), row[4]]


@given(pieces_of_rows)
def test_parquet_is_read_back_as_it_was(pieces):
    table = pq.read_table(io.BytesIO(whole("parquet", pieces)))
    assert table.column_names == [column.name for column in COLUMNS]
    read = [tuple(row.values()) for row in table.to_pylist()]
    assert read == list(chain(*pieces))


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(rows, max_size=12), st.integers(1, 5), st.integers(1, 5))
def test_how_rows_were_cut_into_pieces_makes_no_difference(name, all_rows, one, other):
    cut = [[all_rows[start : start + size] for start in range(0, len(all_rows), size)] for size in (one, other)]
    assert whole(name, cut[0]) == whole(name, cut[1])


def test_a_group_of_rows_in_parquet_is_bounded_by_rows_and_by_bytes(monkeypatch):
    row = (1, 1.0, "x" * 100, MOMENT, "{}")
    monkeypatch.setattr(parquet, "ROWS_TO_A_GROUP", 7)
    assert group_sizes([[row] * 20]) == [7, 7, 6]
    monkeypatch.setattr(parquet, "BYTES_TO_A_GROUP", 300)
    assert group_sizes([[row] * 5]) == [2, 2, 1]


def group_sizes(pieces):
    metadata = pq.ParquetFile(io.BytesIO(whole("parquet", pieces))).metadata
    return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]


@pytest.mark.parametrize("name", NAMES)
def test_what_json_does_not_know_is_spelled_as_python_does(name):
    """A block that computed no number has stored it so."""
    stored = Fields({"score": encode_value(math.nan)}).as_json()
    data = whole(name, [[(1, math.inf, "", MOMENT, stored)]])
    text = data.decode() if name != "parquet" else pq.read_table(io.BytesIO(data))["json"][0].as_py()
    assert '{"score": NaN}' in text.replace('""', '"')


def test_line_breaks_between_values_do_not_break_the_line():
    """Such texts are not Fieldstone's own; SQL may have brought them in."""
    (line,) = whole("jsonl", [[(1, None, "", MOMENT, '{"a": [1,\r\n2]}')]]).splitlines()
    assert decode_value(line.decode())["json"] == {"a": [1, 2]}


def test_an_unknown_format_is_refused():
    with pytest.raises(JobRefusedError, match=r"no format 'xml'\. There are jsonl, csv, parquet"):
        format_of("xml")
