"""Names that manglers make of keys."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from dogpile.cache.util import sha1_mangle_key
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.kvs import manglers

ENCODABLE = st.text(st.characters(exclude_categories=["Cs"]))


@given(ENCODABLE)
def test_sha1_gives_the_names_that_dogpile_gives(key):
    assert manglers.sha1(key) == sha1_mangle_key(key)


@given(ENCODABLE)
def test_sha256_gives_the_hash_of_the_key(key):
    assert manglers.sha256(key) == hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize("key", ["a", "block-v1:Org+Course+Run+type@problem+block@1", "x" * 180])
def test_a_short_plain_key_stays_readable(key):
    assert manglers.readable(key) == key


@pytest.mark.parametrize("key", ["", "x" * 181, "two words", "ü", "line\n", "a~b", "x" * 10_000])
def test_any_other_key_becomes_its_beginning_and_a_hash(key):
    name = manglers.readable(key)
    head, _, digest = name.partition("~")
    assert digest == manglers.sha256(key)
    assert head == key[: len(head)].translate({ord(c): "_" for c in " ü\n~"})
    assert len(name) <= manglers.READABLE_LENGTH


@given(ENCODABLE, ENCODABLE)
def test_two_keys_never_have_one_readable_name(one, other):
    if one != other:
        assert manglers.readable(one) != manglers.readable(other)


@given(ENCODABLE)
def test_a_readable_name_is_taken_by_any_server_and_mangled_again_no_other_key_s(key):
    name = manglers.readable(key)
    assert name.isascii() and name.isprintable() and " " not in name
    if "~" in name:
        assert manglers.readable(name) != name


def test_a_mangler_is_given_itself_or_by_its_dotted_path():
    assert manglers.resolve(str.upper) == str.upper
    assert manglers.resolve("fieldstone.kvs.manglers.sha1") is manglers.sha1
    assert manglers.resolve(None) is None


@pytest.mark.parametrize("mangler", [1, "fieldstone.kvs.manglers.READABLE_LENGTH", ["a"]])
def test_what_cannot_be_called_is_a_type_error(mangler):
    with pytest.raises(TypeError, match="should be a function, or the dotted path of one"):
        manglers.resolve(mangler)


@pytest.mark.parametrize("path", ["nowhere", "fieldstone.kvs.manglers.nowhere"])
def test_a_path_where_nothing_is_is_an_import_error(path):
    with pytest.raises(ImportError):
        manglers.resolve(path)


def test_regions_and_manglers_do_not_import_dogpile():
    code = "import sys, fieldstone.kvs, fieldstone.kvs.manglers; sys.exit('dogpile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
