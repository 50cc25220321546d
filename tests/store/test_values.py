"""What a value may be, without a database."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.errors import InvalidValueError
from fieldstone.values import DELETED, MISSING, Fields, decode_value, encode_changes, encode_fields, encode_value
from tests.strategies import field_names, json_values


@given(json_values)
def test_a_value_comes_back_equal_and_of_the_same_types(value):
    assert repr(decode_value(encode_value(value))) == repr(value)


@given(json_values)
def test_the_text_is_ascii(value):
    """So no engine's rules for text, lone surrogates or U+0000 come into it."""
    assert encode_fields({"field": encode_value(value)}).isascii()


@given(json_values, field_names)
def test_plain_json_of_the_fields_is_what_json_would_write(value, name):
    fields = Fields.from_text(encode_fields({name: encode_value(value)}))
    assert repr(json.loads(fields.as_json())) == repr({name: value})


def test_a_deleted_field_is_not_among_the_fields():
    fields = Fields.from_text(encode_fields(encode_changes("place", {"kept": None, "gone": DELETED})))
    assert dict(fields) == {"kept": None}
    assert "gone" not in fields
    assert len(fields) == 1


def test_every_access_gives_a_new_object():
    fields = Fields({"answers": "[1]"})
    fields["answers"].append(2)
    assert fields["answers"] == [1]


@given(st.text(), st.sampled_from(["\0", "\ud800", "\udfff"]), st.text())
def test_names_that_an_engine_cannot_hold_are_refused(before, bad, after):
    name = before + bad + after
    with pytest.raises(InvalidValueError) as caught:
        encode_changes("place", {name: 1})
    assert caught.value.field == name


def test_the_error_names_place_field_and_reason():
    with pytest.raises(
        InvalidValueError, match=r"Field 'x' of block-v1:a cannot be stored: .*set.*Nothing was saved"
    ):
        encode_changes("block-v1:a", {"x": {1}})


def test_the_markers_say_their_names():
    assert (repr(MISSING), repr(DELETED)) == ("MISSING", "DELETED")


def test_a_value_that_holds_itself_is_refused():
    circle = [1]
    circle.append(circle)
    with pytest.raises(InvalidValueError, match=r"[Cc]ircular"):
        encode_changes("place", {"x": circle})


def test_a_value_too_deep_is_refused_and_the_limit_on_recursion_is_as_before():
    limit, deep = sys.getrecursionlimit(), []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidValueError, match="recursion"):
        encode_changes("place", {"x": deep})
    assert sys.getrecursionlimit() == limit
    while deep:  # taken apart by hand: Python would do it by recursion
        deep = deep[0]
