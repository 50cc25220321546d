"""``manage.py fieldstone_regions``: what it prints and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from fieldstone.kvs import regions
from fieldstone.kvs.management.commands import fieldstone_regions
from tests.kvs.backends import REDIS, SHARED, each

DOWN = {"BACKEND": "redis", "URL": "redis://someone:hidden@127.0.0.1:1/0"}


@pytest.fixture
def site():
    """Calls the command in a project with these regions; its output and exit status."""
    names: set[str] = set()

    def run(configured, *arguments):
        names.update(configured)
        out = io.StringIO()
        with override_settings(FIELDSTONE={"REGIONS": configured}):
            try:
                call_command("fieldstone_regions", *arguments, stdout=out)
            except SystemExit as end:
                return out.getvalue(), end.code
        return out.getvalue(), 0

    yield run
    for name in names:
        regions.forget(name)


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def of_kind(kind):
    options = kind.options(os.environ[kind.variable] if kind.variable else kind.alias)
    return {"BACKEND": kind.store, **{name.upper(): value for name, value in options.items()}}


@each(SHARED)
def test_what_other_processes_told_is_summed_and_the_command_is_none_of_them(make, workers, kind, site):
    region = make(publish_statistics=1e-9)
    region.set("there", 1)
    workers.all(2, ten_hits, region)
    region.delete("there")
    output, status = site({region.name: of_kind(kind)}, "--json")
    (told,) = json.loads(output)
    assert status == 0
    assert told["state"] == "answers"
    assert told["address"] == region.backend.address
    assert len(told["processes"]) == 3
    assert told["counts"]["hits"] == sum(process["hits"] for process in told["processes"]) == 18
    assert told["counts"]["hit_ratio"] == 1
    assert {process["pid"] for process in told["processes"]} >= {os.getpid()}
    assert site({region.name: of_kind(kind)}, "--json")[0].count('"pid"') == 3


def ten_hits(number, region):
    for _ in range(10):
        region.get("there")
    yield number


def test_a_table_shows_every_region_of_the_settings_and_the_status_is_0(site):
    output, status = site({"pages": {}, "carts": {"TTL": 5}})
    assert status == 0
    state, counts = lines(output, "carts")
    assert re.match(r"carts +memory this process +answers in [\d.e-]+ ms; entries 0, bytes 0", state)
    assert counts.split() == ["carts", *"-" * 9]
    assert len(lines(output, "pages")) == 2


def test_columns_are_aligned(site):
    output, _ = site({"a": {}, "a-longer-name": {}})
    heading, *rows = output.splitlines()[:3]
    assert {row.index("memory") for row in rows} == {heading.index("backend")}
    assert {row.index("answers") for row in rows} == {heading.index("state")}


def test_a_server_that_is_down_is_named_with_the_next_step_and_without_its_password(site):
    pytest.importorskip("redis")
    output, status = site({"pages": {}, "down": DOWN})
    assert status == 1
    assert re.search(r"down +Redis 127.0.0.1:1/0 +does not answer: ConnectionError: .*Start the server", output)
    assert "hidden" not in output
    assert "answers in" in lines(output, "pages")[0]


def test_a_region_that_is_down_does_not_trouble_those_that_are_asked_for(site):
    pytest.importorskip("redis")
    assert site({"pages": {}, "down": DOWN}, "pages")[1] == 0


def test_a_region_that_cannot_be_configured_is_told_so(site):
    output, status = site({"pages": {"TTL": -1}})
    assert status == 1
    assert "not configured rightly: Region 'pages': ttl is -1" in output


@each([REDIS])
def test_a_region_that_is_named_lists_its_processes(make, kind, site):
    region = make(publish_statistics=1e-9)
    region.set("a", 1)
    region.get("a")
    configured = {region.name: of_kind(kind)}
    assert f" {os.getpid()} " not in site(configured)[0]
    assert re.search(rf"^\S+ {os.getpid()} +0 s ago +0 +0 ", site(configured, region.name)[0], re.M)


@pytest.mark.parametrize("name", ["nowhere", "no name!"])
def test_a_region_that_is_not_there_is_wrong_use(site, name):
    with pytest.raises(CommandError, match=name) as raised:
        site({"pages": {}}, name)
    assert raised.value.returncode == 2


def test_without_any_region_the_next_step_is_told(site):
    with pytest.raises(CommandError, match="REGIONS") as raised:
        site({})
    assert raised.value.returncode == 2


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "often"])
def test_watching_wants_seconds(site, seconds):
    with pytest.raises(CommandError, match="no number of seconds"):
        site({"pages": {}}, f"--watch={seconds}")


def test_watching_goes_on_until_it_is_interrupted_a_line_of_json_each_time(site, monkeypatch):
    waits = iter([None, None])

    def sleep(seconds):
        assert seconds == 7
        if next(waits, "end") == "end":
            raise KeyboardInterrupt

    monkeypatch.setattr(fieldstone_regions.time, "sleep", sleep)
    output, status = site({"pages": {}}, "--watch", "7", "--json")
    assert [json.loads(line)[0]["region"] for line in output.splitlines()] == ["pages"] * 3
    assert status == 0


SITE = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["fieldstone.kvs"], FIELDSTONE={"REGIONS": {"pages": {}, "[bold]": {}}}, DATABASES={}
)
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "fieldstone_regions"])
"""


def on_terminal(columns):
    """What the command shows on a terminal so wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SITE], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how a terminal ends on Linux
            while select.select([ours], [], [], 60)[0] and (some := os.read(ours, 65536)):
                shown += some
        os.close(ours)
        process.wait(60)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_of_any_width_shows_all_of_the_table(columns):
    pytest.importorskip("rich")
    shown = on_terminal(columns)
    assert "answers in" in shown
    assert "hits" in shown
    assert "[bold]" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= columns


@pytest.mark.parametrize(
    ("count", "shown"), [(99_999, "99,999"), (123_456, "123 k"), (4_560_000, "4.56 M"), (7_891_000_000, "7.89 G")]
)
def test_large_counts_keep_three_digits(count, shown):
    assert fieldstone_regions._short(count) == shown


@pytest.mark.parametrize(("size", "shown"), [(1023, "1023"), (1024, "1.0K"), (3 * 2**20, "3.0M"), (2**31, "2.0G")])
def test_sizes_have_units(size, shown):
    assert fieldstone_regions._size(size) == shown


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        fieldstone_regions.Command().create_parser("manage.py", "fieldstone_regions").parse_args(["--help"])
    assert "manage.py fieldstone_regions --watch 2" in capsys.readouterr().out
