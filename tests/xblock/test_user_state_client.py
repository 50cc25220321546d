"""The user state client, on every engine; its published suite runs in ``test_user_state_suite.py``."""

from __future__ import annotations

import contextlib
import tracemalloc
from itertools import islice

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from opaque_keys import InvalidKeyError
from opaque_keys.edx.block_types import BlockTypeKeyV1
from opaque_keys.edx.keys import UsageKey
from opaque_keys.edx.locator import BlockUsageLocator, CourseLocator
from xblock.exceptions import InvalidScopeError
from xblock.fields import Scope

from fieldstone.errors import InvalidPlaceError, InvalidValueError
from fieldstone.store import Preferences, Store
from fieldstone.store.tables import HISTORY, STATE, USAGE
from fieldstone.store.tables import PREFERENCES as PREFERENCES_TABLE
from fieldstone.testing import query_budget
from fieldstone.xblock.scores import set_score
from fieldstone.xblock.user_state_client import BATCH, DjangoXBlockUserStateClient, XBlockUserState
from tests.conftest import COURSE, ENGINES, STORE_APPS, each_engine, usage
from tests.engines.writer import Barrier, race
from tests.xblock.routers import Everything, Replicated

A, B, C = usage("a"), usage("b"), usage("c", "html")
OTHER_COURSE = CourseLocator("Org", "Other", "Run")
ASIDE_TYPE = BlockTypeKeyV1("xblock_asides.v1", "acid_aside")

SUMMARY, PREFERENCES, USER_INFO = Scope.user_state_summary, Scope.preferences, Scope.user_info
KEYS = {Scope.user_state: A, SUMMARY: A, PREFERENCES: "problem", USER_INFO: None}

each_scope = pytest.mark.parametrize("scope", KEYS, ids=lambda scope: scope.name)
each_learner_scope = pytest.mark.parametrize(
    "scope", [scope for scope in KEYS if scope != SUMMARY], ids=lambda scope: scope.name
)
authored_scopes = pytest.mark.parametrize(
    "scope", [Scope.content, Scope.settings, Scope.parent, Scope.children, None], ids=str
)


@pytest.fixture
def client(alias, settings):
    """A client that is told of no alias: Django's routers are."""
    settings.DATABASE_ROUTERS = [Everything(alias)]
    return DjangoXBlockUserStateClient()


@pytest.fixture
def ada(alias):
    return get_user_model().objects.db_manager(alias).create_user("ada")


@pytest.fixture
def bob(alias):
    return get_user_model().objects.db_manager(alias).create_user("bob")


def seen(entries):
    return [(entry.username, entry.block_key, entry.state) for entry in entries]


def is_there(client, key, scope, username="ada"):
    return bool(list(client.get_many(username, [key], scope)))


# One block


@each_engine
@each_scope
def test_setting_lays_fields_over_those_that_are_stored(client, ada, scope):
    key = KEYS[scope]
    client.set("ada", key, {"a": 1, "b": None}, scope)
    client.set("ada", key, {"a": [2]}, scope)
    entry = client.get("ada", key, scope)
    assert isinstance(entry, XBlockUserState)
    assert entry[:3] == ("ada", key, {"a": [2], "b": None})
    assert entry.scope == scope
    assert entry.updated.utcoffset() is not None


@each_engine
@each_scope
def test_only_the_fields_that_are_asked_for(client, ada, scope):
    """Of a block that has none of them, an entry without fields, as in Open edX."""
    key = KEYS[scope]
    client.set("ada", key, {"a": 1, "b": 2}, scope)
    for asked, expected in (["a"], {"a": 1}), (["b", "never"], {"b": 2}), (["never"], {}), ([], {}):
        assert client.get("ada", key, scope, fields=iter(asked)).state == expected


@each_engine
@each_scope
def test_what_is_not_stored_does_not_exist(client, ada, scope):
    with pytest.raises(client.DoesNotExist, match=f"'ada'.*{scope.name}") as raised:
        client.get("ada", KEYS[scope], scope)
    assert (raised.value.username, raised.value.block_key, raised.value.scope) == ("ada", KEYS[scope], scope)
    assert list(client.get_many("ada", [KEYS[scope]], scope)) == []
    assert list(client.get_many("ada", [], scope)) == []


@each_engine
@each_scope
def test_deleting_some_fields_or_all(client, ada, scope):
    key = KEYS[scope]
    client.set("ada", key, {"a": 1, "b": 2, "c": 3}, scope)
    client.delete("ada", key, scope, fields=iter(["a", "never"]))
    assert client.get("ada", key, scope).state == {"b": 2, "c": 3}
    client.delete("ada", key, scope)
    with pytest.raises(client.DoesNotExist):
        client.get("ada", key, scope)


@each_engine
@each_scope
def test_a_state_emptied_of_fields_is_absent_until_it_has_one_again(client, ada, scope):
    key = KEYS[scope]
    client.set("ada", key, {"a": 1, "b": 2}, scope)
    client.delete("ada", key, scope, fields=["a", "b"])
    assert not is_there(client, key, scope)
    assert list(client.iter_all_for_block(key, scope)) == []
    client.set("ada", key, {"b": 3}, scope)
    assert client.get("ada", key, scope).state == {"b": 3}


@each_engine
@each_scope
@pytest.mark.parametrize("fields", [None, ["never"], []])
def test_deleting_what_is_not_stored_writes_nothing(client, ada, alias, scope, fields):
    if fields is not None:
        client.set("ada", KEYS[scope], {"a": 1}, scope)
    with CaptureQueriesContext(connections[alias]) as queries:
        client.delete_many("ada", [KEYS[scope]], scope, fields)
    assert {query["sql"].split()[0] for query in queries} <= {"SELECT", "SET"}  # MariaDB: SET .. FOR SELECT
    assert is_there(client, KEYS[scope], scope) == (fields is not None)


@each_engine
@each_scope
def test_setting_no_fields_writes_nothing(client, ada, scope, alias):
    with CaptureQueriesContext(connections[alias]) as queries:
        client.set("ada", KEYS[scope], {}, scope)
        client.set_many("ada", {}, scope)
        client.delete_many("ada", [], scope)
    assert {query["sql"].split()[0] for query in queries} <= {"SELECT"}
    assert not is_there(client, KEYS[scope], scope)


@each_engine
def test_scopes_and_users_are_told_apart(client, ada, bob):
    for number, (scope, key) in enumerate(KEYS.items()):
        client.set("ada", key, {"x": number}, scope)
    assert [client.get("ada", key, scope).state for scope, key in KEYS.items()] == [{"x": n} for n in range(4)]
    assert [is_there(client, key, scope, "bob") for scope, key in KEYS.items()] == [False, True, False, False]


@each_engine
def test_a_state_is_a_copy(client, ada):
    client.set("ada", A, {"x": [1]})
    client.get("ada", A).state["x"].append(2)
    assert client.get("ada", A).state == {"x": [1]}


# Since when


@each_engine
@each_scope
def test_updated_says_since_when_the_returned_fields_are_unchanged(client, ada, scope):
    key = KEYS[scope]
    before = timezone.now()
    client.set("ada", key, {"a": 1}, scope)
    between = timezone.now()
    client.set("ada", key, {"b": 1}, scope)
    after = timezone.now()
    of_a, of_both = (client.get("ada", key, scope, fields).updated for fields in (["a"], ["a", "b"]))
    assert between <= of_both <= after
    if scope == Scope.user_state:  # one row with one time
        assert of_a == of_both
    else:
        assert before <= of_a <= between
    assert client.get("ada", key, scope).updated == next(client.iter_all_for_block(key, scope)).updated == of_both


# Many blocks


@each_engine
def test_entries_come_in_the_order_and_under_the_very_keys_of_the_call(client, ada):
    client.set_many("ada", {C: {"x": 3}, A: {"x": 1}})
    asked = [B, usage("c", "html"), usage("a").for_branch("draft"), usage("a")]
    entries = list(client.get_many("ada", asked))
    assert [entry.state for entry in entries] == [{"x": 3}, {"x": 1}, {"x": 1}]
    assert [id(entry.block_key) for entry in entries] == [id(key) for key in asked[1:]]


@each_engine
@pytest.mark.parametrize("blocks", [1, 20])
def test_a_call_is_the_same_queries_however_many_blocks(client, ada, blocks, alias):
    """The user, and: read, one; set, one save; delete, the read and a save. Ids of the keys are known."""
    keys = [usage(f"b{n}") for n in range(blocks)]
    client.set_many("ada", {key: {"x": 0} for key in keys})
    counts = []
    for call in (
        lambda: list(client.get_many("ada", keys)),
        lambda: client.set_many("ada", {key: {"x": 1} for key in keys}),
        lambda: client.delete_many("ada", keys),
    ):
        with query_budget(4) as queries:
            call()
        counts.append(queries.count())
    assert counts[0] == 2
    assert counts[1] <= 3  # with the history, where that is a statement of its own
    assert [revision.number for revision in Store(alias).history(ada, keys[-1])] == [3, 2, 1]


@each_engine
def test_summaries_and_preferences_of_many(client, ada):
    client.set_many("ada", {A: {"votes": 1}, C: {"votes": 2}}, SUMMARY)
    assert seen(client.get_many("ada", [A, B, C], SUMMARY)) == [
        ("ada", A, {"votes": 1}),
        ("ada", C, {"votes": 2}),
    ]
    client.set_many("ada", {"problem": {"p": 1}, ASIDE_TYPE: {"p": 2}}, PREFERENCES)
    client.delete_many("ada", ["problem", "never"], PREFERENCES)
    assert seen(client.get_many("ada", ["problem", ASIDE_TYPE], PREFERENCES)) == [("ada", ASIDE_TYPE, {"p": 2})]


@each_engine
def test_a_block_type_as_text_or_as_a_key(client, ada, alias):
    """What FieldDataCache stores, and under what it stores it."""
    client.set("ada", BlockTypeKeyV1("xblock.v1", "problem"), {"a": 1}, PREFERENCES)
    client.set("ada", ASIDE_TYPE, {"b": 2}, PREFERENCES)
    assert client.get("ada", "problem", PREFERENCES).state == {"a": 1}
    aside = "block-type-v1:xblock_asides.v1:acid_aside"
    assert Store(alias).read(ada, [Preferences(aside)])[Preferences(aside)].fields == {"b": 2}
    assert client.get("ada", str(ASIDE_TYPE), PREFERENCES).state == {"b": 2}
    client.set_many("ada", {ASIDE_TYPE: {"c": 3}, str(ASIDE_TYPE): {"d": 4}}, PREFERENCES)
    assert client.get("ada", ASIDE_TYPE, PREFERENCES).state == {"b": 2, "c": 3, "d": 4}


@each_engine
@pytest.mark.parametrize(
    ("scope", "key"),
    [(Scope.user_state, "a"), (Scope.user_state, None), (SUMMARY, "a"), (PREFERENCES, A), (USER_INFO, A)],
    ids=str,
)
def test_a_key_that_is_not_of_the_scope(client, ada, scope, key):
    for call in (
        lambda: client.get("ada", key, scope),
        lambda: client.set("ada", key, {"a": 1}, scope),
        lambda: client.delete("ada", key, scope),
        lambda: client.iter_all_for_block(key, scope),
    ):
        with pytest.raises(InvalidPlaceError):
            call()


class Unparsable(BlockUsageLocator):
    """A usage key whose text no parser knows: whoever parses it raises."""

    CANONICAL_NAMESPACE = "unparsable-v1"


@each_engine
def test_no_usage_key_that_the_caller_gave_is_parsed(client, ada):
    key = Unparsable(COURSE, "problem", "a")
    with pytest.raises(InvalidKeyError):
        UsageKey.from_string(str(key))
    for scope in (Scope.user_state, SUMMARY):
        client.set("ada", key, {"x": 1, "y": 1}, scope)
        client.delete("ada", key, scope, fields=["y"])
        entries = [client.get("ada", key, scope), *client.iter_all_for_block(key, scope)]
        assert [entry.state for entry in entries] == [{"x": 1}] * 2
        assert all(entry.block_key is key for entry in entries)
    assert all(entry.block_key is key for entry in client.get_history("ada", key))


# Users


@each_engine
@each_learner_scope
def test_of_a_name_that_nobody_has_nothing_is_found_and_nothing_is_written(client, scope):
    key = KEYS[scope]
    with pytest.raises(client.DoesNotExist):
        client.get("nobody", key, scope)
    assert list(client.get_many("nobody", [key], scope)) == []
    user_model = get_user_model()
    for write in (
        lambda: client.set("nobody", key, {"a": 1}, scope),
        lambda: client.set("nobody", key, {}, scope),
        lambda: client.delete("nobody", key, scope),
        lambda: client.delete_many("nobody", [], scope),
    ):
        with pytest.raises(user_model.DoesNotExist, match="no user 'nobody'"):
            write()
    assert list(client.iter_all_for_block(key, scope)) == []


@each_engine
def test_of_a_name_that_nobody_has_there_is_no_history(client):
    with pytest.raises(client.DoesNotExist):
        client.get_history("nobody", A)


@each_engine
def test_summaries_are_nobodys(client, alias):
    """The name is not looked up: there need be no such user."""
    client.set("nobody", A, {"votes": 1}, SUMMARY)
    with CaptureQueriesContext(connections[alias]) as queries:
        assert client.get("anybody", A, SUMMARY).state == {"votes": 1}
        client.delete("nobody", A, SUMMARY)
    assert not any("auth_user" in query["sql"] for query in queries)
    assert not is_there(client, A, SUMMARY)


@each_engine
def test_a_user_that_is_given_is_not_looked_up(client, ada, bob, alias):
    client = DjangoXBlockUserStateClient(ada)
    client.set("ada", A, {"x": 1})
    with query_budget(2, exact=True):
        assert client.get("ada", A).state == {"x": 1}
        assert len(list(client.get_history("ada", A))) == 1
    client.set("bob", A, {"x": 2})
    assert [client.get(name, A).state for name in ("ada", "bob")] == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("alias", ENGINES[1:], indirect=True)
@pytest.mark.django_db(
    transaction=True, databases=["default", "postgresql", "prepared", "mariadb"], available_apps=STORE_APPS
)
def test_users_may_live_on_another_database_than_their_state(alias):
    ada = get_user_model().objects.using("default").create(username="ada")
    client = DjangoXBlockUserStateClient(using=alias)
    client.set("ada", A, {"x": 1})
    assert seen(client.iter_all_for_block(A)) == [("ada", A, {"x": 1})]
    assert Store(alias).read(ada, [A])[A].fields == {"x": 1}
    assert not Store("default").read(ada, [A])


@pytest.mark.django_db(transaction=True, databases=["default", "default_history"])
def test_what_a_replica_does_not_show_yet_is_deleted_all_the_same(settings):
    get_user_model().objects.create_user("ada")
    settings.DATABASE_ROUTERS = [Replicated()]
    client = DjangoXBlockUserStateClient()
    client.set("ada", A, {"x": 1})
    client.delete("ada", A)
    with pytest.raises(client.DoesNotExist):
        DjangoXBlockUserStateClient(using="default").get("ada", A)


# Other scopes


def every_call(client, scope):
    yield lambda: client.get("ada", A, scope)
    yield lambda: client.get_many("ada", [A], scope)
    yield lambda: client.set("ada", A, {"x": 1}, scope)
    yield lambda: client.set_many("ada", {A: {"x": 1}}, scope)
    yield lambda: client.delete("ada", A, scope)
    yield lambda: client.delete_many("ada", [A], scope)
    yield lambda: client.get_history("ada", A, scope)
    yield lambda: client.iter_all_for_block(A, scope)
    yield lambda: client.iter_all_for_course(COURSE, None, scope)


@each_engine
@authored_scopes
def test_a_scope_that_is_not_a_learners_is_refused_by_each_call(client, ada, scope):
    for call in every_call(client, scope):
        with pytest.raises(InvalidScopeError, match="user_state") as raised:
            call()
        assert isinstance(raised.value, ValueError)
        assert raised.value.message == str(raised.value)


@each_engine
@pytest.mark.parametrize("scope", [SUMMARY, PREFERENCES, USER_INFO], ids=lambda scope: scope.name)
def test_a_scope_without_history_says_so(client, ada, scope):
    client.set("ada", KEYS[scope], {"x": 1}, scope)
    with pytest.raises(InvalidScopeError, match=r"history is kept of user_state alone; get\(\)"):
        client.get_history("ada", KEYS[scope], scope)


@each_engine
@pytest.mark.parametrize("scope", [PREFERENCES, USER_INFO], ids=lambda scope: scope.name)
def test_a_scope_that_is_of_no_course_says_so(client, scope):
    with pytest.raises(InvalidScopeError, match="belong to no course; iter_all_for_block"):
        client.iter_all_for_course(COURSE, scope=scope)


# History


@each_engine
def test_history_is_the_whole_state_after_each_save_latest_first(client, ada):
    """Across snapshots, with deletions, and without going back in time."""
    model, expected = {}, []
    for number in range(120):
        if number % 7 == 6:
            client.delete("ada", A)
            model = {}
        else:
            changes = {f"f{number % 5}": number, "null": None}
            client.set("ada", A, changes)
            model = model | changes
        expected.append(model or None)
    entries = list(client.get_history("ada", A))
    assert [entry.state for entry in entries] == expected[::-1]
    times = [entry.updated for entry in entries]
    assert times == sorted(times, reverse=True)
    assert {entry._replace(state=None, updated=None) for entry in entries} == {
        XBlockUserState("ada", A, None, None, Scope.user_state)
    }
    assert entries[0].updated == next(client.iter_all_for_block(A), entries[0]).updated


@each_engine
def test_history_of_50_versions_does_not_cost_103_queries(client, ada, alias):
    for number in range(50):
        client.set("ada", A, {"x": number})
    with query_budget(2, exact=True):  # the user's, and the history's
        assert [entry.state["x"] for entry in client.get_history("ada", A)] == list(range(50))[::-1]


@each_engine
def test_a_block_without_history_does_not_exist_at_the_call(client, ada):
    """Not at the first next(), which callers may come to much later."""
    client.set("ada", B, {"x": 1})
    with pytest.raises(client.DoesNotExist):
        client.get_history("ada", A)


# Every user's


@each_engine
@each_scope
def test_what_every_user_has_at_a_block(client, ada, bob, scope):
    others = {Scope.user_state: B, SUMMARY: B, PREFERENCES: "html"}
    for number, name in enumerate(("ada", "bob")):
        client.set(name, KEYS[scope], {"x": number, name: 1}, scope)
        if scope in others:
            client.set(name, others[scope], {"y": 1}, scope)
    entries = list(client.iter_all_for_block(KEYS[scope], scope))
    assert {entry.scope for entry in entries} == {scope}
    if scope == SUMMARY:
        assert seen(entries) == [(None, A, {"x": 1, "ada": 1, "bob": 1})]
    else:
        key = KEYS[scope]
        assert sorted(seen(entries), key=lambda entry: entry[0]) == [
            ("ada", key, {"x": 0, "ada": 1}),
            ("bob", key, {"x": 1, "bob": 1}),
        ]


@each_engine
@pytest.mark.parametrize("scope", [Scope.user_state, SUMMARY], ids=lambda scope: scope.name)
def test_what_every_user_has_in_a_course(client, ada, bob, scope):
    elsewhere = usage("a", course=OTHER_COURSE)
    for name in ("ada", "bob"):
        client.set_many(name, {A: {"x": name}, C: {"x": name}, elsewhere: {"x": name}}, scope)
    names = ["ada", "bob"] if scope == Scope.user_state else [None]
    expected = [(name, key, {"x": name or "bob"}) for key in (A, C) for name in names]
    assert sorted(seen(client.iter_all_for_course(COURSE, scope=scope)), key=str) == sorted(expected, key=str)
    of_type = client.iter_all_for_course(COURSE.for_branch("draft"), "html", scope)
    assert sorted(seen(of_type), key=str) == sorted([e for e in expected if e[1] == C], key=str)
    assert list(client.iter_all_for_course(COURSE, "poll", scope)) == []
    assert list(client.iter_all_for_course(CourseLocator("No", "Such", "Course"), None, scope)) == []


@each_engine
@each_learner_scope
def test_the_state_of_a_user_who_is_gone_comes_without_a_name(client, ada, bob, scope, alias):
    for name in ("ada", "bob"):
        client.set(name, KEYS[scope], {"x": name}, scope)
    type(bob)._base_manager.using(alias).filter(pk=bob.pk)._raw_delete(alias)  # by others, and not through Django
    found = {entry.state["x"]: entry.username for entry in client.iter_all_for_block(KEYS[scope], scope)}
    assert found == {"ada": "ada", "bob": None}


@each_engine
def test_a_null_state_does_not_crash_iteration(client, ada, bob, alias):
    """Nobody has looked at the block yet: it is absent, everywhere."""
    client.set_many("ada", {A: {"x": 1}, B: {"x": 1}})
    client.set("bob", A, {"x": 2})
    with connections[alias].cursor() as cursor:
        cursor.execute(f"UPDATE {STATE} SET fields = NULL WHERE student_id = {ada.pk}")
    assert seen(client.iter_all_for_block(A)) == [("bob", A, {"x": 2})]
    assert seen(client.iter_all_for_course(COURSE)) == [("bob", A, {"x": 2})]
    with pytest.raises(client.DoesNotExist):
        client.get("ada", A)
    client.delete("ada", A)
    client.set("ada", A, {"y": 1})
    assert client.get("ada", A).state == {"y": 1}


@each_engine
def test_a_score_alone_is_no_state_and_none_in_the_history(client, ada, alias):
    set_score(ada.pk, A, 1, 2, using=alias)
    assert list(client.get_many("ada", [A])) == list(client.iter_all_for_block(A)) == []
    client.set("ada", A, {"x": 1})
    assert [entry.state for entry in client.get_history("ada", A)] == [{"x": 1}, None]
    assert Store(alias).read(ada, [A])[A].grade == 1


def fill(alias, count):
    """Users, and a state and a preference of each."""
    Store(alias).save(0, {A: {"x": 0}})
    users = get_user_model()._base_manager.using(alias)
    users.bulk_create((users.model(username=f"user{n}") for n in range(count)), batch_size=2000)
    since = "1, '2026-01-01', '2026-01-01'"
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {STATE} (student_id, usage_id, fields, done, revision, created, modified)"
            f""" SELECT auth_user.id, met.id, '{{"x": "1"}}', 'na', {since} FROM auth_user, {USAGE} AS met"""
        )
        cursor.execute(
            f"INSERT INTO {PREFERENCES_TABLE.name}"
            " (student_id, module_type, field_name, value, revision, created, modified)"
            f" SELECT id, 'problem', 'p', '1', {since} FROM auth_user"
        )


def iterations(client):
    yield lambda: client.iter_all_for_block(A)
    yield lambda: client.iter_all_for_course(COURSE)
    yield lambda: client.iter_all_for_block("problem", PREFERENCES)


@each_engine
def test_iterating_costs_no_query_a_row(client, alias):
    fill(alias, 3 * BATCH)
    for iterate in iterations(client):
        # A batch: its rows, the rest of the block or the last learner's whole, and two for the names.
        with query_budget(1 + 4 * (4 + 1)):
            entries = list(iterate())
        assert len(entries) >= 3 * BATCH
        assert all(entry.username for entry in entries if entry.state != {"x": 0})


@each_engine
def test_iterating_takes_the_memory_of_a_batch_and_not_of_all_rows(client, alias):
    fill(alias, 8 * BATCH)

    def peak_of(entries):
        tracemalloc.start()
        try:
            count = sum(1 for _ in entries)
            return count, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for iterate in iterations(client):
        peak_of(islice(iterate(), 10))  # what is made once is made here
        _, few = peak_of(islice(iterate(), 3 * BATCH))
        count, peak = peak_of(iterate())
        assert count >= 8 * BATCH
        assert peak < 1.25 * few, f"{few:,} bytes for {3 * BATCH:,} rows, {peak:,} for {count:,}"


# Faults


def set_through_client(number, username, saves, start):
    """A field of its own for each set; yields n once it is acknowledged."""
    client = DjangoXBlockUserStateClient()
    start.wait(120)
    for n in range(saves):
        client.set(username, A, {f"w{number}_{n}": n})
        yield n


@each_engine
def test_eight_writers_on_one_row_lose_no_acknowledged_field(client, ada, alias):
    told = race(alias, set_through_client, 8, "ada", 50, Barrier(8))
    assert [len(acknowledged) for acknowledged in told] == [50] * 8
    assert client.get("ada", A).state == {f"w{number}_{n}": n for number in range(8) for n in range(50)}
    assert len(list(client.get_history("ada", A))) == 400


@contextlib.contextmanager
def one_revision_a_block(alias):
    """A second revision at any block breaks a constraint of the database."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"CREATE UNIQUE INDEX one_revision ON {HISTORY} (usage_id)")
    try:
        yield
    finally:
        on_table = f" ON {HISTORY}" if connections[alias].vendor == "mysql" else ""
        with connections[alias].cursor() as cursor:
            cursor.execute(f"DROP INDEX one_revision{on_table}")


@each_engine
def test_an_integrity_error_is_not_swallowed_with_the_rest_of_the_batch(client, ada, alias):
    client.set("ada", B, {"x": 1})
    with one_revision_a_block(alias), pytest.raises(IntegrityError):
        client.set_many("ada", {A: {"x": 2}, B: {"x": 2}, C: {"x": 2}})
    assert seen(client.get_many("ada", [A, B, C])) == [("ada", B, {"x": 1})]
    assert len(list(client.get_history("ada", B))) == 1


@each_engine
def test_a_value_that_cannot_be_stored_stops_the_whole_call(client, ada):
    with pytest.raises(InvalidValueError):
        client.set_many("ada", {A: {"x": 1}, B: {"x": object()}})
    assert list(client.get_many("ada", [A, B])) == []


def cut(alias):
    """Make every further statement on this connection fail, as a server does that goes away."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.set_progress_handler(lambda: 1, 1)  # SQLite gives each statement up
        return
    name = "pg_backend_pid" if connection.vendor == "postgresql" else "connection_id"
    kill = "SELECT pg_terminate_backend(%s, 10000)" if connection.vendor == "postgresql" else "KILL %s"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name}()")
        (number,) = cursor.fetchone()
    other = connection.copy()
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute(kill, [number])


@each_engine
def test_a_database_that_does_not_serve_is_said_to_be_unavailable(client, ada, alias):
    """An OperationalError still, with the driver's own behind it."""
    client = DjangoXBlockUserStateClient(ada)
    for scope, key in KEYS.items():
        client.set("ada", key, {"x": 1}, scope)
    calls = [
        lambda: client.get("ada", A),
        lambda: client.set("ada", A, {"x": 2}),
        lambda: client.delete("ada", A),
        lambda: client.get_history("ada", A),
        lambda: client.get("bob", A),  # the users' database it is that does not serve
        *(lambda scope=scope: list(client.iter_all_for_block(KEYS[scope], scope)) for scope in KEYS),
        *(lambda scope=scope: list(client.iter_all_for_course(COURSE, None, scope)) for scope in list(KEYS)[:2]),
    ]
    for call in calls:
        cut(alias)
        with pytest.raises(client.ServiceUnavailable, match="does not serve") as raised:
            call()
        assert isinstance(raised.value, OperationalError)
        assert raised.value.__cause__.__cause__.__class__.__module__ != "django.db.utils", "not the driver's"
        connections[alias].close()
    assert client.get("ada", A).state == {"x": 1}


@each_engine
def test_the_three_errors_are_attributes_of_the_class_that_older_callers_catch(client):
    cls = DjangoXBlockUserStateClient
    assert issubclass(cls.DoesNotExist, Exception)
    assert issubclass(cls.PermissionDenied, Exception)
    assert issubclass(cls.ServiceUnavailable, OperationalError)
