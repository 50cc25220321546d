"""The store's system checks of settings, routers and SQLite. Servers: ``tests/engines/test_server_checks.py``."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from fieldstone.store.checks.databases import _ENGINES as CHECKED_ENGINES
from fieldstone.store.checks.sqlite import of_version
from fieldstone.store.engines import _ENGINES
from tests.store.checking import Router, any_database, database, found, messages

SQLITE = "django.db.backends.sqlite3"
RIGHT = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
TABLES = [
    "LearningContext",
    "Usage",
    "XModuleUserStateSummaryField",
    "XModuleStudentPrefsField",
    "XModuleStudentInfoField",
]


__all__ = ["any_database"]  # a fixture
pytestmark = pytest.mark.usefixtures("any_database")


def test_a_right_project_is_told_nothing():
    assert found() == set()


@pytest.mark.django_db
def test_a_right_project_is_told_nothing_when_its_database_is_asked():
    assert found("default") == set()


@pytest.mark.parametrize("name", sorted(_ENGINES))
def test_every_engine_is_checked(name):
    assert name in CHECKED_ENGINES


# Settings


@pytest.mark.parametrize("given", [None, ["COURSE"], "COURSE", {"COURSE"}])
def test_settings_that_are_no_dict(settings, given):
    settings.FIELDSTONE = given
    assert found() == {"E101"}


def test_a_project_without_any_setting_of_ours(settings):
    del settings.FIELDSTONE
    assert found() == set()


@pytest.mark.parametrize(
    ("name", "meant"), [("COURCE", "'COURSE'"), ("course", "'COURSE'"), ("MAX_VALUE_BYTE", "'MAX_VALUE_BYTES'")]
)
def test_a_setting_that_is_misspelt(settings, name, meant):
    """The closest name is said."""
    settings.FIELDSTONE = {name: 1}
    (message,) = messages()
    assert message.id == "fieldstone_store.E102"
    assert meant in message.hint


@pytest.mark.parametrize("name", ["SOMETHING_ELSE", 7])
def test_a_setting_that_is_like_no_other(settings, name):
    settings.FIELDSTONE = {name: 1}
    (message,) = messages()
    assert message.id == "fieldstone_store.E102"
    assert "MAX_VALUE_BYTES" in message.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COURSE", 7),
        ("BLOCK_ALIASES", ["problem"]),
        ("LEARNER_SWITCHER", "yes"),
        ("LEARNER_SWITCHER", 1),
        ("MAX_VALUE_BYTES", "16M"),
        ("MAX_VALUE_BYTES", True),
        ("MAX_VALUE_BYTES", None),
    ],
)
def test_a_setting_of_the_wrong_type(settings, name, value):
    settings.FIELDSTONE = {name: value}
    (message,) = messages()
    assert message.id == "fieldstone_store.E103"
    assert name in message.msg and repr(value) in message.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COURSE", Path("course")),
        ("COURSE", "course"),
        ("COURSE", None),
        ("BLOCK_ALIASES", {"problem": "x"}),
        ("LEARNER_SWITCHER", False),
        ("MAX_VALUE_BYTES", 1),
    ],
)
def test_a_setting_of_the_right_type(settings, name, value):
    settings.FIELDSTONE = {name: value}
    assert found() == set()


@pytest.mark.parametrize(("zone", "expected"), [("Europe/Berlin", {"W104"}), ("UTC", set())])
def test_times_without_zones(settings, zone, expected):
    settings.USE_TZ = False
    settings.TIME_ZONE = zone
    assert found() == expected


# Routers


@pytest.fixture
def other(tmp_path):
    """Another database, on SQLite, that nothing is wrong with."""
    with database("other", ENGINE=SQLITE, NAME=str(tmp_path / "other.sqlite3"), OPTIONS=RIGHT) as alias:
        yield alias


def test_history_may_go_to_another_alias(settings, other):
    settings.DATABASE_ROUTERS = [Router({"StudentModuleHistory": other})]
    assert found() == found(other) == set()


@pytest.mark.parametrize("where", ["default", "other"])
def test_a_router_that_forbids_the_table_of_history_where_it_sends_history(settings, other, where):
    """On both aliases: it is written beside the states, and moved to the other."""
    settings.DATABASE_ROUTERS = [
        Router({"StudentModuleHistory": other}, {(where, "StudentModuleHistory")}),
    ]
    (message,) = messages()
    assert message.id == "fieldstone_store.E111"
    assert "StudentModuleHistory" in message.msg and repr(where) in message.msg


def test_a_router_that_sends_history_to_an_alias_that_is_not_there(settings):
    settings.DATABASE_ROUTERS = [Router({"StudentModuleHistory": "nowhere"})]
    assert found() == found("default") == {"E111"}


@pytest.mark.parametrize("name", TABLES)
def test_a_router_that_divides_what_is_saved_together(settings, other, name):
    settings.DATABASE_ROUTERS = [Router({name: other})]
    (message,) = messages()
    assert message.id == "fieldstone_store.E112"
    assert f"{name} to 'other'" in message.msg


def sent(states, history):
    return [Router({**dict.fromkeys((*TABLES, "StudentModule"), states), "StudentModuleHistory": history})]


def test_history_on_the_same_file_by_another_path(settings, tmp_path, other):
    (tmp_path / "link.sqlite3").symlink_to(tmp_path / "other.sqlite3")
    with database("link", ENGINE=SQLITE, NAME=str(tmp_path / "link.sqlite3"), OPTIONS=RIGHT):
        settings.DATABASE_ROUTERS = sent("other", "link")
        assert found("other") == found("link") == {"E113"}
        assert found() == set(), "no database is asked unless it is named"


def test_history_in_memory_is_another_database(settings):
    in_memory = {"ENGINE": SQLITE, "NAME": ":memory:", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
    settings.DATABASE_ROUTERS = sent("one", "two")
    with database("one", **in_memory), database("two", **in_memory):
        assert found("one", "two") == set()


# Engines


def test_an_engine_without_statements(settings):
    with database("other", ENGINE="django.db.backends.dummy") as alias:
        assert found(alias) == {"E121"}
        assert found() == set(), "nothing of the store is sent there"
        settings.DATABASE_ROUTERS = [Router({"StudentModuleHistory": alias})]
        assert found() == {"E121"}


def test_an_alias_without_our_tables_is_none_of_our_business(settings):
    settings.DATABASE_ROUTERS = [Router({}, {("other", "StudentModule"), ("other", "StudentModuleHistory")})]
    with database("other", ENGINE="django.db.backends.dummy") as alias:
        assert found(alias) == set()


def test_a_database_that_does_not_answer(tmp_path):
    with database(ENGINE=SQLITE, NAME=str(tmp_path / "no folder" / "x.sqlite3"), OPTIONS=RIGHT) as alias:
        (message,) = messages(alias)
        assert message.id == "fieldstone_store.E122"
        assert "unable to open database file" in message.msg


def test_the_commands_of_django_stop_at_an_error(settings):
    settings.FIELDSTONE = {"COURCE": "x"}
    with pytest.raises(CommandError, match="Did you mean 'COURSE'"):
        call_command("check")


# SQLite


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "WAL"])
def test_a_journal_mode_in_which_readers_wait(tmp_path, mode):
    """The mode of the file itself, whatever the settings say."""
    with sqlite3.connect(tmp_path / "x.sqlite3") as file:
        file.execute(f"PRAGMA journal_mode={mode}")
        file.execute("CREATE TABLE there (x)")
    file.close()
    options = {"transaction_mode": "IMMEDIATE"}
    if mode != "WAL":
        options["init_command"] = f"PRAGMA journal_mode={mode}"
    with database(ENGINE=SQLITE, NAME=str(tmp_path / "x.sqlite3"), OPTIONS=options) as alias:
        assert found(alias) == (set() if mode == "WAL" else {"W133"})


def test_a_database_in_memory_has_no_journal_to_choose():
    with database(ENGINE=SQLITE, NAME=":memory:", OPTIONS={"transaction_mode": "IMMEDIATE"}) as alias:
        assert found(alias) == set()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, {"W134"}),
        ("DEFERRED", {"W134"}),
        ("IMMEDIATE", set()),
        ("immediate", set()),
        ("EXCLUSIVE", set()),
    ],
)
def test_a_transaction_mode_in_which_a_save_fails_half_way(tmp_path, mode, expected):
    options = {**RIGHT, "transaction_mode": mode}
    with database(ENGINE=SQLITE, NAME=str(tmp_path / "x.sqlite3"), OPTIONS=options) as alias:
        assert found(alias) == expected


def test_the_transaction_mode_is_checked_without_asking(settings, tmp_path):
    settings.DATABASE_ROUTERS = [Router({"StudentModuleHistory": "other"})]
    with database("other", ENGINE=SQLITE, NAME=str(tmp_path / "x.sqlite3")) as alias:
        assert found() == {"W134"}
        assert connections[alias].connection is None


def test_a_library_without_json_functions(tmp_path):
    """An authoriser makes the real library refuse them, as one does that was compiled without."""
    with database(ENGINE=SQLITE, NAME=str(tmp_path / "x.sqlite3"), OPTIONS=RIGHT) as alias:
        connections[alias].ensure_connection()
        connections[alias].connection.set_authorizer(
            lambda action, first, second, *rest: (
                sqlite3.SQLITE_DENY
                if action == sqlite3.SQLITE_FUNCTION and second == "json_patch"
                else sqlite3.SQLITE_OK
            )
        )
        assert found(alias) == {"E132"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [((3, 31, 0), ["E131"]), ((3, 34, 1), ["E131"]), ((3, 35, 0), []), ((3, 100, 0), []), ((4, 0, 0), [])],
)
def test_a_library_that_is_too_old(version, expected):
    """Compared only: an old library cannot be had beside the one that Python is built with."""
    assert [message.id.split(".")[1] for message in of_version("default", version)] == expected
