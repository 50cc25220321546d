"""What somebody else wrote under a region's names: it is refused, and no pickle among it runs."""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle

import pytest

from fieldstone.errors import FieldstoneError, InvalidEntryError, NotFound, UnreadableEntryError
from tests.kvs.backends import SHARED, each
from tests.kvs.faults.raw import raw

RAN: list[int] = []


def run() -> None:
    RAN.append(1)


class Planted:
    def __reduce__(self):
        return run, ()


PICKLE = pickle.dumps(Planted())
HEAD = b"p" + bytes(8)
EXTENDED = b"P" + bytes(8) + b"\x7f\xf0" + bytes(6) + bytes(8)
FOREIGN = hmac.digest(hashlib.sha256(b"another site's").digest(), PICKLE, "sha256")
PLANTED = {
    "a bare pickle": PICKLE,
    "a pickle of protocol 0": pickle.dumps(Planted(), 0),
    "dogpile's, with its metadata": json.dumps({"ct": 1.0, "v": 2}).encode() + b"|" + PICKLE,
    "dogpile's, pickled as a whole": pickle.dumps((Planted(), {"ct": 1.0, "v": 2})),
    "an entry without signature": HEAD + PICKLE,
    "an entry with an empty signature": HEAD + bytes(32) + PICKLE,
    "an entry that another site signed": HEAD + FOREIGN + PICKLE,
    "an extended entry that another site signed": EXTENDED + FOREIGN + PICKLE,
    "MessagePack's extension": b"m" + bytes(8) + b"\xc7" + bytes([len(PICKLE)]) + b"\x05" + PICKLE,
}
BROKEN = {
    "nothing": b"",
    "a letter": b"m",
    "a head": b"m" + bytes(8),
    "an extended head": b"M" + bytes(9),
    "half a value": b"m" + bytes(8) + b"\x92\x01",
    "no such letter": b"x" + bytes(8) + b"5",
    "digits that are none": b"i" + bytes(8) + b"5x",
    "no digits": b"i" + bytes(8),
    "too many digits": b"i" + bytes(8) + b"9" * 5000,
    "nested without end": b"m" + bytes(8) + b"\x91" * 100_000,
    "JSON nested without end": b"j" + bytes(8) + b"[" * 100_000,
    "no moment": b"m" + bytes(8) + b"\xc7\x0c\xff" + b"\xff" * 12,
}
READING = {
    "get": lambda region: region.get("key"),
    "get with a default": lambda region: region.get("key", None),
    "get_multi": lambda region: region.get_multi(["key"]),
    "get_with_version": lambda region: region.get_with_version("key"),
    "get_or_create": lambda region: region.get_or_create("key", lambda: "made"),
    "incr": lambda region: region.incr("key"),
}


def plant(kind, region, data):
    """Under the name of the key, as an entry is kept there, be there a head of the backend's own or none."""
    region.set("key", "harmless")
    name = region._operations().name("key")
    server, entry = raw(kind), region.backend.get(name)
    stored = server.read(name)
    assert stored.endswith(entry)
    server.write(name, stored.removesuffix(entry) + data)


def test_the_planted_pickles_would_run():
    RAN.clear()
    pickle.loads(PICKLE)
    assert RAN == [1]


@pytest.mark.parametrize("serializer", ["msgpack", "json", "pickle"])
@each(SHARED)
def test_a_planted_pickle_never_runs(kind, make, serializer):
    region = make(serializer=serializer)
    RAN.clear()
    for name, data in PLANTED.items():
        for read in READING.values():
            plant(kind, region, data)
            with pytest.raises((UnreadableEntryError, InvalidEntryError)):
                read(region)
            assert RAN == [], name
            raw(kind).write(region._operations().name("key"), data)  # without a head of the backend's own
            try:
                read(region)
            except FieldstoneError as refused:
                assert isinstance(refused, UnreadableEntryError | InvalidEntryError | NotFound)
            assert RAN == [], name


@each(SHARED)
def test_what_is_no_entry_is_told_by_our_own_error_and_can_be_deleted(kind, make):
    regions = [make(serializer=serializer) for serializer in ("msgpack", "json", "pickle")]
    for data in BROKEN.values():
        for region in regions:
            for read in READING.values():
                plant(kind, region, data)
                with pytest.raises((UnreadableEntryError, InvalidEntryError)) as told:
                    read(region)
                assert told.value.key == "key"
            region.delete("key")
            region.set("key", 1)
            assert region.get("key") == 1


@each(SHARED)
def test_a_value_that_was_changed_after_it_was_signed_is_not_looked_into(kind, make):
    region = make(serializer="pickle")
    region.set("key", ["signed"])
    entry = region.backend.get(region._operations().name("key"))
    for index in (9, 40, len(entry) - 1):
        changed = bytearray(entry)
        changed[index] ^= 1
        plant(kind, region, bytes(changed))
        with pytest.raises(UnreadableEntryError, match="not signed"):
            region.get("key")
    plant(kind, region, entry)
    assert region.get("key") == ["signed"]
