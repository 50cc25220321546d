"""The rows of regions and locks, in few rounds: they run, both sides agree, and the three forms show them."""

from __future__ import annotations

import pytest

from bench import regions
from bench.databases import ENGINES
from bench.databases import available as databases
from bench.measuring import Budget, Comparison
from bench.regions.base import Cache, Locker, Server
from bench.results import RegionResult
from bench.rows import MismatchError
from bench.run import PLACES
from tests.bench.test_running import bench, found_on

# Each takes seconds, which the run without servers has not got.
tried = pytest.mark.skipif(regions.available() == ["memory"], reason="`make test` tries the benchmark")

ROWS = tuple(word for name in regions.NAMES for word in ("--row", name))


def cache(title: str, *, given: dict | None = None) -> Cache:
    """A dictionary; it gives what is ``given`` instead of what was set."""
    kept: dict = {}
    seen = kept if given is None else given
    return Cache(title, seen.get, kept.__setitem__, lambda keys: [seen.get(key) for key in keys])


def locker(title: str, *, is_held: bool) -> Locker:
    return Locker(title, lambda key: key, lambda held: None, lambda key: is_held)


def measured(name: str, *others: Cache, lockers: tuple[Locker, ...] = ()) -> list:
    server = Server("redis", "1", [cache("floor"), *others], lockers)
    return list(regions.measure(name, server, Budget(rounds=2)))


@tried
@pytest.mark.parametrize("server", [*regions.SERVERS, *ENGINES])
def test_rows_of_regions_are_measured_on_each_server(server):
    """Ours and the peers hold the same values as the floor before and after, or the run would have failed."""
    if server not in (*regions.available(), *databases()):
        pytest.skip(f"{PLACES[server]} is not there; `make test` starts it")
    found = found_on(server, *ROWS)["regions"]
    assert list(dict.fromkeys(row["row"] for row in found)) == list(regions.names_on(server))
    ours = [row for row in found if row["who"] == "Fieldstone"]
    assert len(ours) == len(regions.names_on(server))
    assert all(row["rounds"] == 2 and row["ratio"] > 0 for row in found)
    assert all(row["limit"] is None and row["verdict"] == "" for row in found if row not in ours)


@tried
def test_a_row_of_regions_is_printed_as_markdown_and_for_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    arguments = ("--engine", "memory", "--row", "region-get")
    markdown = bench(*arguments, "--markdown")
    assert markdown.returncode == 0, markdown.stderr
    heading, rule, *lines = [text for text in markdown.stdout.splitlines() if text.startswith("|")]
    assert {line.count("|") for line in (rule, *lines)} == {heading.count("|")}
    assert "get of a small value | Fieldstone | this process |" in lines[0]
    assert "Fieldstone" in bench(*arguments).stdout


@tried
def test_a_server_without_an_address_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("FIELDSTONE_REDIS_URL", raising=False)
    done = bench("--engine", "redis", "--row", "region-get")
    assert done.returncode == 3
    assert "FIELDSTONE_REDIS_URL is not set" in " ".join(done.stderr.split())


@tried
def test_rows_that_a_server_has_not_got_are_wrong_use():
    done = bench("--engine", "memory", "--row", "save-one")
    assert done.returncode == 2
    assert "none of these rows is measured on memory" in done.stderr


@pytest.mark.parametrize("name", ["region-get", "region-set", "region-get-1000"])
def test_who_does_not_give_what_was_set_is_not_compared(name):
    assert [row.who for row in measured(name, cache("honest"))] == ["honest"]
    with pytest.raises(MismatchError, match="forgetful"):
        measured(name, cache("forgetful", given={}))


@pytest.mark.parametrize("is_held", [True, False])
def test_a_lock_that_holds_nothing_or_is_never_let_go_is_not_compared(is_held):
    lockers = (locker("floor", is_held=is_held), locker("other", is_held=is_held))
    with pytest.raises(MismatchError, match="does not hold its lock, or does not let it go"):
        measured("lock", lockers=lockers)


def test_a_limit_in_seconds_is_of_our_own_median():
    comparison = Comparison(ours=[0.0008] * 3, floor=[0.0001] * 3)
    row = regions.Measured("name", "title", "who", "floor", comparison, most_seconds=0.001)
    assert RegionResult("redis", row).verdict == "met"
    assert RegionResult("redis", row._replace(most_seconds=0.0007)).verdict == "not yet"
    assert RegionResult("redis", row._replace(most_seconds=None)).verdict == ""
