"""The store's system checks of servers, provoked by real ones that are set wrongly."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import connections
from psycopg import IsolationLevel

from fieldstone.store.checks import check_databases
from fieldstone.store.checks.mariadb import of_server
from fieldstone.store.checks.postgresql import pools_transactions
from fieldstone.store.models import LearningContext, StudentModule, Usage, XModuleStudentPrefsField
from tests.conftest import each_engine
from tests.engines.pgbouncer import PROGRAM, pgbouncer
from tests.store.checking import Router, any_database, database, found, like, messages

__all__ = ["any_database"]  # a fixture

on_postgresql = pytest.mark.parametrize("alias", ["postgresql"])
on_mariadb = pytest.mark.parametrize("alias", ["mariadb"])
on_servers = pytest.mark.parametrize("alias", ["postgresql", "mariadb"])
pytestmark = pytest.mark.usefixtures("any_database")


@contextmanager
def scratch(alias, how=""):
    """The alias of an empty database on the server of another."""
    name = f"fieldstone_scratch_{os.getpid()}"
    with connections[alias].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} {how}")
    try:
        with database(f"{alias}_scratch", **like(alias, NAME=name)) as scratch_alias:
            yield scratch_alias
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


@each_engine
def test_a_right_project_is_told_nothing(alias):
    """With all its tables."""
    assert found(alias) == found() == set()


@on_servers
def test_a_right_project_is_told_nothing_before_its_first_migration(alias):
    with scratch(alias) as empty:
        assert found(empty) == set()
        call_command("check", databases=[empty])


@on_servers
def test_a_server_that_does_not_answer(alias):
    """Our own check alone: one of Django's, for MariaDB, fails with the driver's error."""
    with database(**like(alias, PORT=1)) as tried:
        (message,) = check_databases(None, databases=[tried])
        assert message.id == "fieldstone_store.E122"
        assert "onnect" in message.msg


@on_servers
def test_a_server_by_two_addresses_is_one_database(settings, alias):
    names = ("StudentModule", "LearningContext", "Usage", "XModuleUserStateSummaryField")
    routes = dict.fromkeys((*names, "XModuleStudentPrefsField", "XModuleStudentInfoField"), alias)
    settings.DATABASE_ROUTERS = [Router({**routes, "StudentModuleHistory": "again"})]
    with database("again", **like(alias, OPTIONS={"connect_timeout": 60})):
        assert found(alias) == found("again") == {"E113"}
    with scratch(alias) as elsewhere:
        settings.DATABASE_ROUTERS = [Router({**routes, "StudentModuleHistory": elsewhere})]
        assert found(alias) == found(elsewhere) == set()


@on_postgresql
def test_two_schemas_of_a_database_are_two_places_for_history(settings, alias):
    with scratch(alias) as one:
        with connections[one].cursor() as cursor:
            cursor.execute("CREATE SCHEMA elsewhere")
        with database("two", **like(one, OPTIONS={"options": "-c search_path=elsewhere"})):
            models = ("StudentModule", "LearningContext", "Usage", "XModuleUserStateSummaryField")
            routes = dict.fromkeys((*models, "XModuleStudentPrefsField", "XModuleStudentInfoField"), one)
            settings.DATABASE_ROUTERS = [Router({**routes, "StudentModuleHistory": "two"})]
            assert found(one) == set()


# PostgreSQL


@on_postgresql
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_an_encoding_that_not_every_key_fits_in(alias, encoding):
    how = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with scratch(alias, how) as tried:
        (message,) = messages(tried)
        assert message.id == "fieldstone_store.E141"
        assert encoding in message.msg


@on_postgresql
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"isolation_level": IsolationLevel.SERIALIZABLE}, {"W145"}),
        ({"options": "-c default_transaction_isolation=repeatable\\ read"}, {"W145"}),
        ({"isolation_level": IsolationLevel.READ_COMMITTED}, set()),
    ],
)
def test_an_isolation_in_which_saves_fail_that_had_to_wait(alias, options, expected):
    with database(**like(alias, OPTIONS=options)) as tried:
        assert found(tried) == expected


UNSAFE = {"prepare_threshold": 5, "assume_role": "postgres"}


@pytest.fixture
def pooled(alias, request):
    """The alias's server behind a real pgbouncer."""
    if PROGRAM is None:
        pytest.skip("FIELDSTONE_PGBOUNCER is not set: `make test` finds or installs pgbouncer")
    with pgbouncer(connections[alias].settings_dict, request.param) as address:
        yield address


@on_postgresql
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"W142"}),
        ({"DISABLE_SERVER_SIDE_CURSORS": True}, set()),
        ({"DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {"prepare_threshold": 5}}, {"W143"}),
        ({"DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {"assume_role": "postgres"}}, {"E144"}),
        ({"OPTIONS": UNSAFE}, {"W142", "W143", "E144"}),
        ({"OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 5}}}, {"W142"}),
    ],
)
@pytest.mark.parametrize("pooled", ["transaction"], indirect=True)
def test_what_outlives_a_transaction_behind_a_pooler_of_transactions(alias, pooled, changes, expected):
    with database(**like(alias, **pooled, **changes)) as tried:
        assert found(tried) == expected


@on_postgresql
@pytest.mark.parametrize("pooled", ["session"], indirect=True)
def test_behind_a_pooler_of_sessions_all_is_well(alias, pooled):
    with database(**like(alias, **pooled, OPTIONS=UNSAFE)) as tried:
        assert found(tried) == set()


@on_postgresql
def test_without_a_pooler_all_is_well(alias):
    with database(**like(alias, OPTIONS=UNSAFE)) as tried:
        assert found(tried) == set()


@on_postgresql
@pytest.mark.parametrize("pooled", ["transaction"], indirect=True)
def test_a_busy_pooler_of_transactions_is_found_out_too(alias, pooled):
    """Others hold sessions meanwhile, so that a client may by chance get back the one it had."""
    with (
        database("busy", **like(alias, **pooled)) as busy,
        database(**like(alias, **pooled)) as tried,
        connections[busy].cursor() as cursor,
    ):
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1")
        assert pools_transactions(connections[tried])
        cursor.execute("ROLLBACK")


# MariaDB


@on_mariadb
@pytest.mark.parametrize(
    ("mode", "expected"), [("", {"E153"}), ("STRICT_TRANS_TABLES", set()), ("STRICT_ALL_TABLES", set())]
)
def test_a_mode_in_which_what_is_too_long_is_cut_off(alias, mode, expected):
    with database(**like(alias, OPTIONS={"init_command": f"SET sql_mode='{mode}'"})) as tried:
        assert found(tried) == expected


@on_mariadb
@pytest.mark.parametrize(
    ("level", "expected"), [("repeatable read", {"W156"}), (None, {"W156"}), ("read committed", set())]
)
def test_an_isolation_in_which_saves_lock_gaps(alias, level, expected):
    """MariaDB's own is repeatable read; Django's for it is read committed."""
    with database(**like(alias, OPTIONS={"isolation_level": level})) as tried:
        assert found(tried) == expected


@contextmanager
def tables(alias, *models):
    """An empty database with these tables."""
    with scratch(alias) as made:
        with connections[made].schema_editor() as editor:
            for model in models:
                editor.create_model(model)
        yield made


@on_mariadb
@pytest.mark.parametrize("collation", ["utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_nopad_ci"])
def test_a_collation_that_takes_different_keys_for_one(alias, collation):
    with tables(alias, LearningContext, Usage, XModuleStudentPrefsField) as tried:
        assert found(tried) == set()
        with connections[tried].cursor() as cursor:
            cursor.execute(
                "ALTER TABLE fieldstone_preferences MODIFY field_name varchar(255)"
                f" CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
            )
        (message,) = messages(tried)
        assert message.id == "fieldstone_store.E154"
        assert "fieldstone_preferences.field_name" in message.msg and collation in message.msg


@on_mariadb
def test_a_table_without_transactions(alias):
    with tables(alias, LearningContext, StudentModule) as tried:
        with connections[tried].cursor() as cursor:
            cursor.execute("ALTER TABLE fieldstone_student_module ENGINE=Aria")
        (message,) = messages(tried)
        assert message.id == "fieldstone_store.E155"
        assert "fieldstone_student_module is Aria" in message.msg


@on_mariadb
def test_tables_to_come_without_transactions(alias):
    with scratch(alias) as empty:
        options = {"init_command": "SET default_storage_engine=MyISAM"}
        with database(**like(empty, OPTIONS=options)) as tried:
            assert found(tried) == {"E155"}


@pytest.mark.parametrize(
    ("is_mariadb", "version", "expected"),
    [
        (True, (10, 11, 6), []),
        (True, (11, 4, 2), []),
        (True, (10, 7, 0), []),
        (True, (10, 6, 20), ["E152"]),
        (True, (10, 5, 1), ["E152"]),
        (False, (8, 0, 36), ["E151"]),
        (False, (9, 1, 0), ["E151"]),
    ],
)
def test_a_server_that_is_too_old_or_another_system(is_mariadb, version, expected):
    """Compared only: there is one release of MariaDB to run, and no MySQL."""
    assert [message.id.split(".")[1] for message in of_server("default", is_mariadb, version)] == expected
