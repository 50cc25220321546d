"""Saves that write one marker everywhere, and what must be true of them after any fault."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.db import Error, connections
from opaque_keys.edx.keys import UsageKey

from fieldstone.store import Place, Preferences, Store, Summary, UserInfo
from fieldstone.store.parts import part_of
from fieldstone.store.verify import Verification
from tests.engines.writer import block, token_of

BLOCKS = [block(f"marked{n}") for n in range(4)]
PLACES: list[Place] = [*BLOCKS, *map(Summary, BLOCKS), Preferences("problem"), UserInfo()]
SECONDS_OF_OUTAGE = 60

TRIED, SAVED = "tried", "saved"


def save_marker(store: Store, learner: int, marker: str, filling: str = "", new: Iterable[UsageKey] = ()) -> None:
    """One save, again and again the same: every place, and blocks that may never have been met."""
    fields = {"marker": marker, "filling": filling}
    store.save(learner, dict.fromkeys([*PLACES, *new], fields), token=token_of(marker))


def save_on_and_on(writer: int, learner: int, new: Iterable[UsageKey] = ()) -> Iterator[tuple[str, str]]:
    """What a process does until it is killed; tells of each save before it and after."""
    for n in range(100_000):
        marker = f"{writer}.{n}"
        yield TRIED, marker
        save_marker(Store(), learner, marker, new=new)
        yield SAVED, marker


def save_through_outages(writer: int, learner: int, stop: Any) -> Iterator[tuple[str, str]]:
    """What a process does whose server may go away: each save is tried until it is acknowledged."""
    for n in range(100_000):
        if stop.is_set():
            return
        marker = f"{writer}.{n}"
        yield TRIED, marker
        deadline = time.monotonic() + SECONDS_OF_OUTAGE
        while True:
            try:
                save_marker(Store(), learner, marker)
                break
            except Error:
                connections["default"].close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # the server is not there: no event tells a client when it is back
        yield SAVED, marker


def check(
    store: Store, learner: int, acknowledged: Collection[str], tried: Collection[str] | None = None
) -> list[str]:
    """The markers written, oldest first: all that were acknowledged, each once, each whole or not at all."""
    written = markers_of(store, learner, BLOCKS[0])
    assert len(set(written)) == len(written), "a save was written twice"
    assert set(acknowledged) <= set(written), "an acknowledged save is gone"
    assert tried is None or set(written) <= set(tried), "something was written that nobody saved"
    for place in BLOCKS[1:]:
        assert markers_of(store, learner, place) == written, "a save was written to some of its blocks"
    states = store.read(learner, PLACES)
    last = {states[place].fields["marker"] if place in states else None for place in PLACES}
    assert last == {written[-1] if written else None}, "a save was written to some of its scopes"
    assert [
        finding for batch in Verification(store.using, part_of(store.using)).batches() for finding in batch
    ] == []
    return written


def markers_of(store: Store, learner: int, place: UsageKey) -> list[str]:
    history = store.history(learner, place)[::-1]
    assert [revision.number for revision in history] == list(range(1, len(history) + 1)), "revisions have gaps"
    return [revision.changes["marker"] for revision in history]
