"""The parts of the race harness that need no database."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldstone.testing.races import deadlocks
from fieldstone.testing.races.exploring import PATIENCE, Choice, by_default, explore, preemptions
from fieldstone.testing.races.sql import is_step, shown, written
from fieldstone.testing.statements import Statement

each_count = st.lists(st.integers(0, 3), min_size=1, max_size=3)


def player(counts: Sequence[int], played: list[tuple[int, ...]], costs: list[int]):
    """Actors that take so many turns each, and wait for nobody."""

    def play(asked: Sequence[int]) -> list[Choice]:
        left, turns, choices, wanted = list(counts), [], [], list(asked)
        while any(left):
            ready = [at for at, number in enumerate(left) if number]
            chosen = wanted.pop(0) if wanted else by_default(ready, turns)
            left[chosen] -= 1
            turns.append(chosen)
            choices.append(Choice(tuple(ready), chosen))
        played.append(tuple(turns))
        costs.append(preemptions(choices))
        return choices

    return play


def orders(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """All distinct orders of so many turns of each, one by one."""
    if not any(counts):
        return [()]
    found = []
    for at, number in enumerate(counts):
        if number:
            rest = [*counts[:at], number - 1, *counts[at + 1 :]]
            found += [(at, *others) for others in orders(rest)]
    return found


@settings(deadline=None)
@given(each_count)
def test_every_interleaving_is_played_once_those_with_few_preemptions_first(counts):
    played: list[tuple[int, ...]] = []
    costs: list[int] = []
    assert explore(player(counts, played, costs), limit=10_000) is False
    assert sorted(played) == sorted(orders(counts))
    assert costs == sorted(costs)


@settings(deadline=None)
@given(each_count, st.integers(1, 20))
def test_a_limit_leaves_out_the_last_ones_and_says_so(counts, limit):
    whole: list[tuple[int, ...]] = []
    explore(player(counts, whole, []), limit=10_000)
    some: list[tuple[int, ...]] = []
    assert explore(player(counts, some, []), limit) is (len(whole) > limit)
    assert some == whole[:limit]


def test_one_that_polls_gives_way_after_a_while():
    """Or what it polls for would never come."""
    assert by_default([0, 1], [0] * (PATIENCE - 1)) == 0
    assert by_default([0, 1], [0] * PATIENCE) == 1
    assert by_default([0], [0] * PATIENCE) == 0
    assert by_default([1, 2], [0, 0]) == 1


@given(st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from("abcd"), max_size=3)))
def test_a_circle_is_one_in_the_graph_of_waits(waits):
    """The model: paths of up to four steps, by brute force."""
    reached = {(who, whom) for who, all_whom in waits.items() for whom in all_whom}
    for _ in range(4):
        reached |= {(who, end) for who, whom in reached for start, end in reached if whom == start}
    assert deadlocks.has_circle(waits) == any((each, each) in reached for each in "abcd")
    for who in "abcd":
        assert all(deadlocks.reaches(waits, who, whom) == ((who, whom) in reached) for whom in "abcd")


def test_a_circle_leaves_out_who_only_stands_in_line():
    waits = {"a": {"b"}, "d": {"a"}}
    assert deadlocks.circle(waits, ["b"]) == (("a", ("b",)), ("d", ("a",)), ("b", ("a", "d")))
    assert deadlocks.circle({"a": {"b"}, "d": {"c"}}, ["b"]) == (("a", ("b",)), ("b", ("a",)))
    assert deadlocks.circle({"a": {"c"}}, ["b"]) == ()


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ('INSERT INTO "blog_counter" ("name") VALUES (%s)', ["blog_counter"]),
        ("INSERT OR IGNORE INTO `blog_tag` VALUES (1)", ["blog_tag"]),
        ("INSERT IGNORE INTO blog_tag VALUES ('UPDATE no SET')", ["blog_tag"]),
        ('UPDATE "public"."blog_counter" SET "count" = 1', ["blog_counter"]),
        ("UPDATE ONLY blog_counter SET count = 1", ["blog_counter"]),
        ("DELETE FROM [blog post] WHERE 1", ["blog post"]),
        ("DELETE `a` FROM `a` INNER JOIN `b`", ["a"]),
        ("REPLACE INTO t VALUES (1)", ["t"]),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING", ["t"]),
        ("TRUNCATE TABLE t", ["t"]),
        ('WITH moved AS (DELETE FROM "a" RETURNING *) INSERT INTO "b" SELECT * FROM moved', ["a", "b"]),
        ('SELECT * FROM "a" FOR UPDATE OF "a"', []),
        ("SELECT * FROM a FOR NO KEY UPDATE NOWAIT", []),
        ("SELECT 'DELETE FROM x' -- UPDATE y\n FROM a", []),
    ],
)
def test_the_tables_that_a_statement_writes_to(sql, names):
    """By its text, so that they can be copied before."""
    assert written(sql) == names


def test_an_upsert_writes_to_one_table():
    """What comes after its second UPDATE is a column, or a word, and no table."""
    mysql = "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2"
    standard = 'INSERT INTO "t" ("a") VALUES (1) ON CONFLICT ("a") DO UPDATE SET "a" = 2'
    assert written(mysql) == written(standard) == ["t"]


@pytest.mark.parametrize(
    ("sql", "is_one"),
    [
        ("SAVEPOINT s1", False),
        ("RELEASE SAVEPOINT s1", False),
        ("ROLLBACK TO SAVEPOINT s1", False),
        ("BEGIN", False),
        ("BEGIN IMMEDIATE", True),
        ("COMMIT", True),
        ("ROLLBACK", True),
        ("SELECT 1", True),
    ],
)
def test_what_others_can_notice_is_a_step(sql, is_one):
    assert is_step(sql) is is_one


def test_a_statement_is_shown_in_a_line():
    """With values; without the columns, the quotes, and what is too long."""

    def told(sql, params=None, many=False):
        return shown(Statement(None, sql, params, many))  # type: ignore[arg-type]

    select = 'SELECT "t"."id", "t"."name" FROM "t" WHERE "t"."name" = %s AND "t"."id" IN (%s) LIMIT 21'
    assert told(select, ("it", 5)) == "SELECT … FROM t WHERE name = 'it' AND id IN (5) LIMIT 21"
    assert told("UPDATE t SET a = %s", (None,)) == "UPDATE t SET a = NULL"
    assert told("UPDATE t SET a = %(a)s", {"a": 1}) == "UPDATE t SET a = 1"
    assert told("INSERT INTO t VALUES (%s)", [(1,), (2,)], many=True) == "INSERT INTO t VALUES (%s) -- 2 times"
    assert told("SELECT 100 % 7") == "SELECT 100 % 7"
    assert told("SELECT '%s %s'", (1,)) == "SELECT '%s %s'"
    assert told("UPDATE t SET " + "a" * 100).endswith("a…")
