"""Entries in a table: bytes by name, in the caller's transaction if there is one."""

from __future__ import annotations

import itertools
import threading

import pytest
from django.db import connections, transaction

from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.backends.database import DatabaseBackend
from fieldstone.kvs.entries import integer_entry, version_of
from fieldstone.kvs.tables import ENTRY, FENCE, LOCK, NAME_LENGTH, WAITER
from fieldstone.testing import query_budget
from tests.conftest import each_server
from tests.kvs.workers import Workers, eventually, in_threads


def rows(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {ENTRY}")
        return cursor.fetchone()[0]


@each_server
def test_each_method_is_one_statement(backend, alias):
    backend.set("n", integer_entry(1), None)
    version = version_of(backend.get("n"))
    calls = [
        ("get", "n"),
        ("get_many", ["n", "m"]),
        ("set", "m", b"entry", 60),
        ("set_many", {"m": b"entry", "l": b"entry"}, None),
        ("compare_and_set", "n", integer_entry(2), version, 60),
        ("touch", "n", 60),
        ("delete", "m"),
        ("delete_many", ["l", "k"]),
        ("scan", "", None, 10),
    ]
    for method, *arguments in calls:
        with query_budget(1, exact=True):
            getattr(backend, method)(*arguments)
    most = 2 if connections[alias].vendor == "mysql" else 1  # of what is there already
    with query_budget(most):
        assert backend.add("n", b"other", None) is False


@each_server
def test_names_are_told_apart_by_every_character(backend):
    names = [
        "a",
        "A",
        "a ",
        "ä",
        "a\u0308",
        "\U0001f600",
        " a",
        "%",
        "_",
        "x" * NAME_LENGTH,
        "x" * (NAME_LENGTH - 1),
    ]
    for name in names:
        assert backend.check_key(name) is None
        backend.set(name, name.encode(), None)
    assert backend.get_many(names) == [name.encode() for name in names]
    assert backend.scan("", None, 100)[0] == sorted(names)


@each_server
def test_names_that_the_database_cannot_keep_are_refused_with_the_reason(backend):
    assert "NUL" in backend.check_key("a\0")
    assert "surrogate" in backend.check_key("a\ud800")
    assert str(NAME_LENGTH) in backend.check_key("x" * (NAME_LENGTH + 1))


@each_server
def test_every_byte_comes_back(backend):
    entry = bytes(range(256)) * 20
    backend.set("name", entry, None)
    backend.set_many({"other": entry}, 60)
    assert backend.get("name") == backend.get("other") == entry


@each_server
def test_expired_entries_are_not_there_to_anybody(backend):
    backend.set_many({"a": b"entry", "n": integer_entry(5)}, 0.05)
    version = version_of(backend.get("n") or integer_entry(0))
    eventually(lambda: backend.get_many(["a", "n"]) == [None, None])
    assert not backend.compare_and_set("n", integer_entry(1), version, None)
    assert not backend.touch("a", 60)
    assert not backend.delete("a")
    assert backend.delete_many(["a", "n"]) == 0
    assert backend.scan("", None, 10) == ([], None)
    assert backend.incr("n", 1, 10, None) == 11
    assert backend.add("a", b"new", None)
    assert backend.get("a") == b"new"


@each_server
def test_a_time_to_live_of_a_thousand_years_is_kept(backend):
    backend.set("name", b"entry", 1000 * 365.25 * 86400)
    backend.touch("name", 1e300)
    assert backend.get("name") == b"entry"


@each_server
def test_expired_entries_are_deleted_by_later_writes(backend, alias):
    backend.set_many({f"old{n}": b"entry" for n in range(300)}, 0.01)
    backend.set("lasting", b"entry", None)
    eventually(lambda: backend.get("old0") is None)
    for number in itertools.count():
        backend.set("new", b"entry", None)
        if rows(alias) == 2:
            break
        assert number < 500, "they are still there"
    assert backend.get("lasting") == b"entry"


@each_server
def test_thousands_are_set_read_and_deleted_in_one_call(backend):
    entries = {f"name{n}": b"%d" % n for n in range(2500)}
    backend.set_many(entries, None)
    assert backend.get_many(list(entries)) == list(entries.values())
    assert backend.delete_many([*entries, "name1", "absent"]) == 2500


@each_server
def test_pages_of_names_go_on_where_the_last_one_ended(backend):
    backend.set_many({f"{prefix}{n:02}": b"entry" for prefix in ("a:", "b:", "c:") for n in range(10)}, None)
    pages, cursor = [], None
    while True:
        names, cursor = backend.scan("b:", cursor, 4)
        pages.append(names)
        if cursor is None:
            break
    assert [len(names) for names in pages] == [4, 4, 2]
    assert [*itertools.chain(*pages)] == [f"b:{n:02}" for n in range(10)]


@each_server
def test_several_entries_are_set_all_or_none(backend, alias, monkeypatch):
    """Also where they make several statements, of which a later one fails."""
    engine, set_rows, calls = backend._engine, backend._engine.set, []

    def set_once(cursor, rows, milliseconds):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyError
        set_rows(cursor, rows, milliseconds)

    monkeypatch.setattr(engine, "set", set_once)
    with pytest.raises(KeyError):
        backend.set_many({f"name{n}": b"entry" for n in range(1500)}, None)
    assert calls == [1000, 500]
    assert rows(alias) == 0


@each_server
def test_entries_are_part_of_the_callers_transaction(backend, alias):
    backend.set("n", integer_entry(1), None)
    with pytest.raises(KeyError), transaction.atomic(alias):
        backend.set("new", b"entry", None)
        assert backend.incr("n", 1, 0, None) == 2
        assert backend.get("new") == b"entry"
        raise KeyError
    assert backend.get("new") is None
    assert backend.incr("n", 1, 0, None) == 2


@each_server
def test_a_callers_transaction_goes_on_after_counting_what_is_no_integer(backend, alias):
    with transaction.atomic(alias):
        backend.set("text", b"mxxxxxxxx", None)
        with pytest.raises(ValueError, match="integer"):
            backend.incr("text", 1, 0, None)
        backend.set("after", b"entry", None)
    assert backend.get_many(["text", "after"]) == [b"mxxxxxxxx", b"entry"]


@each_server
def test_expired_rows_are_not_deleted_in_a_callers_transaction(backend, alias):
    backend.set("old", b"entry", 0.001)
    eventually(lambda: backend.get("old") is None)
    with transaction.atomic(alias):
        for _ in range(60):
            backend.set("new", b"entry", None)
        assert rows(alias) == 2


def count(number, backend, times):
    for _ in range(times):
        yield backend.incr("counter", 1, 0, None)


@each_server
def test_eight_processes_that_count_lose_nothing(backend):
    with Workers() as workers:
        sums = workers.all(8, count, backend, 200)
    assert sorted(itertools.chain(*sums)) == list(range(1, 1601))


@each_server
def test_of_those_who_replace_the_same_version_one_does(backend):
    backend.set("name", integer_entry(0), None)
    for _ in range(20):
        version = version_of(backend.get("name"))

        def replace(number, version=version):
            return backend.compare_and_set("name", integer_entry(number), version, None)

        assert sorted(in_threads(4, replace)) == [False, False, False, True]


@each_server
def test_those_who_set_and_delete_the_same_names_in_any_order_do_not_deadlock(backend):
    names = [f"name{n}" for n in range(50)]

    def work(number):
        order = names[number * 5 :] + names[: number * 5]
        for _ in range(15):
            backend.set_many(dict.fromkeys(order, b"entry"), None)
            backend.delete_many(order[::-1])

    in_threads(6, work)


@each_server
def test_a_missing_table_is_told_with_what_to_do(backend, alias):
    renames = {"mysql": "RENAME TABLE {} TO {}"}.get(connections[alias].vendor, "ALTER TABLE {} RENAME TO {}")
    for table, call in (
        (ENTRY, lambda: backend.get("name")),
        (LOCK, lambda: backend.acquire("name", "token", 1, 0)),
    ):
        with connections[alias].cursor() as cursor:
            cursor.execute(renames.format(table, "elsewhere"))
        try:
            with pytest.raises(RegionConfigurationError, match=r"fieldstone\.kvs.*INSTALLED_APPS.*migrate"):
                call()
        finally:
            with connections[alias].cursor() as cursor:
                cursor.execute(renames.format("elsewhere", table))


@each_server
def test_a_value_that_no_statement_can_carry_is_refused_before_it_is_sent(backend, alias):
    if connections[alias].vendor != "mysql":
        pytest.skip("only MariaDB has such a limit")
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        (limit,) = cursor.fetchone()
    backend.set("name", b"before", None)
    with pytest.raises(ValueError, match="max_allowed_packet"):
        backend.set("name", bytes(limit // 2), None)  # as text each byte takes two
    backend.set("other", b"x" * (limit // 2), None)
    assert backend.get("name") == b"before"
    assert len(backend.get("other")) == limit // 2


@pytest.mark.parametrize("options", [{"using": "nowhere"}, {"using": None}])
def test_an_alias_that_nobody_knows_is_refused(options):
    with pytest.raises(ValueError, match="default"):
        DatabaseBackend("region", **options)


@each_server
def test_a_table_shows_how_much_there_is(backend):
    backend.set_many({"a": b"12345", "b": b"12345"}, None)
    assert backend.server_statistics() == {"entries": "2", "bytes": "10"}


@each_server
def test_tables_are_separate(alias):
    """What the tables are called is part of the interface: other code may look into them."""
    tables = connections[alias].introspection.table_names()
    assert {ENTRY, LOCK, WAITER, FENCE} <= set(tables)


@each_server
def test_a_write_waits_for_another_transaction_and_is_done_then(backend, alias):
    backend.set("n", integer_entry(1), None)
    sums, written = [], threading.Event()

    def count():
        try:
            written.wait(60)
            sums.append(backend.incr("n", 1, 0, None))
        finally:
            connections[alias].close()

    other = threading.Thread(target=count)
    other.start()
    with transaction.atomic(alias):
        assert backend.incr("n", 1, 0, None) == 2
        written.set()
    other.join(60)
    assert sums == [3]
