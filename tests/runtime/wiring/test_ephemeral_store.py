"""What a visitor or a preview has behaves as what is stored does, while it lasts; on each kind of region."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.errors import ConflictError, NotFound
from fieldstone.runtime.wiring import EphemeralStore
from fieldstone.runtime.wiring.errors import NobodyError, StateClaimedError
from fieldstone.store import DELETED, Grade, Preferences, Store, Summary, UserInfo
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Wanted
from tests.conftest import usage

A, B = usage("a"), usage("b")
EVERYWHERE = [A, Summary(A), Preferences("problem"), UserInfo()]


def save(store, changes, grades=None, **options):
    return store.save_plan(None, Plan.of(changes, grades or {}), **options)


def read(store, *places):
    return store.read(None, Wanted.of(places))


def fields(store, place):
    states = read(store, place)
    return dict(states[place].fields) if place in states else {}


@pytest.mark.parametrize("place", EVERYWHERE, ids=["user_state", "summary", "preferences", "user_info"])
def test_what_is_saved_is_read_and_fields_that_are_not_named_stay(of_ada, place):
    assert place not in read(of_ada, place)
    save(of_ada, {place: {"x": None, "y": [1, "é\x00"]}})
    save(of_ada, {place: {"x": 2, "z": {"a": 1.5}}})
    save(of_ada, {place: {"z": DELETED}})
    assert fields(of_ada, place) == {"x": 2, "y": [1, "é\x00"]}
    assert read(of_ada, place)[place].modified is not None


def test_one_owner_has_nothing_of_another(of_ada, region):
    of_bob = EphemeralStore(region, "bob", ttl=60)
    save(of_ada, {place: {"x": 1} for place in EVERYWHERE})
    assert not read(of_bob, *EVERYWHERE)
    save(of_bob, {A: {"x": 2}})
    assert fields(of_ada, A) == {"x": 1}


def test_a_grade_is_kept_beside_the_fields(of_ada):
    save(of_ada, {}, {A: Grade(1, 2)})
    receipt = save(of_ada, {A: {"x": 1}})
    state = receipt.states[A]
    assert (dict(state.fields), state.grade, state.max_grade, state.revision) == ({"x": 1}, 1, 2, 2)


def test_what_all_share_shows_through_and_is_never_written(of_ada):
    Store().save(None, {Summary(A): {"tally": 5, "shown": 1}})
    save(of_ada, {Summary(A): {"tally": 6}})
    assert fields(of_ada, Summary(A)) == {"tally": 6, "shown": 1}
    assert dict(Store().read(None, [Summary(A)])[Summary(A)].fields) == {"tally": 5, "shown": 1}


@pytest.mark.parametrize("place", EVERYWHERE, ids=["user_state", "summary", "preferences", "user_info"])
def test_a_save_on_what_is_no_longer_so_is_refused_whole(of_ada, place):
    first = 0 if place == A else {"x": 0}
    save(of_ada, {place: {"x": 1}}, expected={place: first})
    with pytest.raises(ConflictError):
        save(of_ada, {place: {"x": 2}, B: {"y": 1}}, expected={place: first})
    assert fields(of_ada, place) == {"x": 1}
    assert fields(of_ada, B) == {}


def test_a_summary_that_was_read_from_the_store_is_saved_once(of_ada):
    """Two requests of one visitor that read the same tally: the second is refused."""
    Store().save(None, {Summary(A): {"tally": 5}})
    revision = read(of_ada, Summary(A))[Summary(A)].revisions["tally"]
    save(of_ada, {Summary(A): {"tally": 6}}, expected={Summary(A): {"tally": revision}})
    with pytest.raises(ConflictError):
        save(of_ada, {Summary(A): {"tally": 6}}, expected={Summary(A): {"tally": revision}})


def test_saves_at_once_of_one_owner_lose_no_field(of_ada):
    def write(number):
        save(of_ada, {A: {f"x{number}": number}, Preferences("problem"): {f"x{number}": number}})
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(24)))
    wanted = {f"x{number}": number for number in range(24)}
    assert fields(of_ada, A) == fields(of_ada, Preferences("problem")) == wanted
    assert read(of_ada, A)[A].revision == 24


def test_nobody_has_nothing_and_keeps_nothing(region, ids_forgotten):
    nobodys = EphemeralStore(region, None, ttl=60)
    assert not read(nobodys, *EVERYWHERE)
    with pytest.raises(NobodyError, match="needs a session"):
        save(nobodys, {A: {"x": 1}})


def test_after_the_end_nothing_is_kept(of_ada):
    save(of_ada, {A: {"x": 1}})
    _, version = of_ada.load()
    save(of_ada, {A: {"x": 2}})
    assert not of_ada.end("7", version)
    _, version = of_ada.load()
    assert of_ada.end("7", version)
    with pytest.raises(StateClaimedError, match="load the page again"):
        save(of_ada, {A: {"x": 3}})
    with pytest.raises(StateClaimedError):
        read(of_ada, A)


def test_it_expires(kind, region, ids_forgotten):
    brief = EphemeralStore(region, "ada", ttl=kind.brief)
    save(brief, {A: {"x": 1}})
    while True:
        try:
            region.get("ada")
        except NotFound:
            break
    assert fields(brief, A) == {}


names = st.sampled_from(["x", "y", "z"])
values = st.none() | st.integers() | st.text(max_size=5) | st.just(DELETED)
changes = st.dictionaries(st.sampled_from(EVERYWHERE), st.dictionaries(names, values, min_size=1), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(saves=st.lists(changes, max_size=6))
def test_any_saves_come_out_as_in_a_plain_dictionary(saves, region, ids_forgotten):
    region.delete_multi(["ada"])
    store, model = EphemeralStore(region, "ada", ttl=60), {place: {} for place in EVERYWHERE}
    for each in saves:
        save(store, each)
        for place, fields_of in each.items():
            model[place].update(fields_of)
    for place, wanted in model.items():
        assert fields(store, place) == {name: value for name, value in wanted.items() if value is not DELETED}
