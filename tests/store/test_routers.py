"""Database routers say where states are written and read; the aliases here are two SQLite files."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connections, router, transaction
from django.test.utils import CaptureQueriesContext

from fieldstone.errors import NoSuchRevisionError
from fieldstone.store import DELETED, Store, Summary, UserInfo
from fieldstone.store.models import StudentModule, StudentModuleHistory, Usage
from fieldstone.store.usages import forget_all
from tests.conftest import COURSE, usage

A, B = usage("a"), usage("b")
PRIMARY, REPLICA = "default", "default_history"


class Replicated:
    """Writes go to one alias, reads to another that lags behind: in these tests, for ever."""

    def db_for_write(self, model, **hints):
        return PRIMARY if model._meta.app_label == "fieldstone_store" else None

    def db_for_read(self, model, **hints):
        return REPLICA if model._meta.app_label == "fieldstone_store" else None


pytestmark = pytest.mark.django_db(transaction=True, databases=[PRIMARY, REPLICA])


@pytest.fixture(autouse=True)
def ids():
    forget_all()
    yield
    forget_all()


@pytest.fixture
def replicated(settings):
    """The replica has a state of its own, so that it shows who reads it."""
    Store(REPLICA).save(1, {B: {"old": 0}})
    Store(REPLICA).save(1, {A: {"old": 1}, Summary(A): {"old": 1}, UserInfo(): {"old": 1}})
    settings.DATABASE_ROUTERS = [Replicated()]
    return Store()


def test_without_routers_it_is_the_default_alias():
    assert Store().using == PRIMARY
    Store().save(1, {A: {"x": 1}})
    assert dict(Store(PRIMARY).read(1, [A])[A].fields) == {"x": 1}
    assert not Store(REPLICA).read(1, [A])


def test_saves_go_where_the_router_writes_and_reads_where_it_reads(replicated):
    assert replicated.using == PRIMARY
    receipt = replicated.save(1, {A: {"x": 1}, Summary(A): {"s": 1}, UserInfo(): {"u": 1}})
    assert dict(receipt.states[A].fields) == {"x": 1}
    for place, fields in replicated.read(1, [A, Summary(A), UserInfo()]).items():
        assert dict(fields.fields) == {"old": 1}, place
    assert dict(Store(PRIMARY).read(1, [A])[A].fields) == {"x": 1}
    assert [scanned.state.fields["old"] for scanned in replicated.scan(context=COURSE)] == [0, 1]
    assert dict(replicated.at(1, A, revision=1).fields) == {"old": 1}
    assert replicated.history(1, A)[0].changes == {"old": 1}


def test_rows_are_deleted_on_the_primary(replicated):
    replicated.save(1, {A: {"x": 1}})
    assert StudentModule.objects.all().delete()[0] == 1
    assert dict(Store(PRIMARY).read(1, [A])[A].fields) == {}
    assert dict(Store(REPLICA).read(1, [A])[A].fields) == {"old": 1}


def test_in_a_transaction_of_the_primary_its_own_saves_are_read(replicated):
    with transaction.atomic(PRIMARY):
        replicated.save(1, {A: {"x": 1}})
        assert dict(replicated.read(1, [A])[A].fields) == {"x": 1}
        assert replicated.history(1, A)[0].changes == {"x": 1}
        assert dict(replicated.at(1, A, revision=1).fields) == {"x": 1}
        assert [scanned.state.fields["x"] for scanned in replicated.scan(usage_key=A)] == [1]
    assert dict(replicated.read(1, [A])[A].fields) == {"old": 1}


def test_an_alias_that_is_named_wins(replicated):
    store = Store(PRIMARY)
    store.save(1, {A: {"x": 1}})
    assert dict(store.read(1, [A])[A].fields) == {"x": 1}
    assert store.history(1, A)[0].changes == {"x": 1}
    assert dict(Store(REPLICA).at(1, A, revision=1).fields) == {"old": 1}


def test_what_a_save_itself_needs_to_read_is_read_on_the_primary(replicated):
    token = uuid4()
    replicated.save(1, {A: {"x": 1}}, token=token)
    assert dict(replicated.save(1, {A: {"x": 1}}, token=token).states[A].fields) == {"x": 1}
    replicated.save(1, {A: {"x": DELETED, "y": 2}})
    assert dict(replicated.restore(1, A, revision=1).states[A].fields) == {"x": 1}
    with pytest.raises(NoSuchRevisionError):
        replicated.at(1, A, revision=3)  # the replica lags behind
    assert dict(Store(PRIMARY).at(1, A, revision=3).fields) == {"x": 1}


def test_ids_of_one_alias_are_not_taken_for_those_of_another(replicated):
    """On a replica they would be the same; but a process cannot know that it is one."""
    replicated.save(1, {A: {"x": 1}, B: {"x": 2}})
    ids = {alias: dict(Usage.objects.using(alias).values_list("key", "id")) for alias in (PRIMARY, REPLICA)}
    assert ids[PRIMARY] != ids[REPLICA], "the test proves nothing"
    for _ in range(2):  # by key, then by the ids that were met
        assert {str(key): dict(state.fields) for key, state in replicated.read(1, [A, B]).items()} == {
            str(A): {"old": 1},
            str(B): {"old": 0},
        }
    assert dict(Store(PRIMARY).read(1, [A])[A].fields) == {"x": 1}


def test_a_block_that_the_replica_has_not_got_yet_has_no_state_there(replicated):
    new = usage("new")
    replicated.save(1, {new: {"x": 1}})
    for _ in range(2):
        assert new not in replicated.read(1, [new])
        assert replicated.history(1, new) == []
    Store(REPLICA).save(1, {new: {"x": 1}})  # it arrives
    assert dict(replicated.read(1, [new])[new].fields) == {"x": 1}


def test_an_id_from_a_transaction_that_was_rolled_back_is_not_remembered_for_the_replica_either(replicated):
    new = usage("new")
    with transaction.atomic(PRIMARY):
        replicated.save(1, {new: {"x": 1}})
        transaction.set_rollback(True, using=PRIMARY)
    replicated.save(1, {usage("other"): {"x": 2}})
    assert new not in Store(PRIMARY).read(1, [new])
    assert new not in replicated.read(1, [new])


def test_a_router_may_say_nothing_of_history(replicated, settings):
    class States:
        def db_for_write(self, model, **hints):
            return REPLICA if model.__name__ == "StudentModule" else None

    settings.DATABASE_ROUTERS = [States()]
    Store().save(1, {usage("c"): {"x": 1}})
    assert StudentModuleHistory.objects.using(PRIMARY).count() == 0
    assert StudentModuleHistory.objects.using(REPLICA).count() == 3


def test_a_router_is_told_whose_history_it_is_asked_about(settings):
    asked = []

    class Asked:
        def db_for_write(self, model, **hints):
            if model.__name__ == "StudentModuleHistory":
                asked.append(hints["instance"]._state.db)

    settings.DATABASE_ROUTERS = [Asked()]
    Store(REPLICA).save(1, {A: {"x": 1}})
    assert set(asked) == {REPLICA}
    assert StudentModuleHistory.objects.using(REPLICA).count() == 1


def test_the_router_of_the_docs_moves_history_and_lets_one_table_be_made(settings):
    page = Path(__file__).parents[2] / "docs/decisions/0006-history-elsewhere.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    names = {}
    exec(code.replace('"history"', repr(REPLICA)), names)
    settings.DATABASE_ROUTERS = [names["HistoryElsewhere"]()]
    Store().save(1, {A: {"x": 1}})
    assert StudentModuleHistory.objects.using(PRIMARY).count() == 0
    assert StudentModuleHistory.objects.using(REPLICA).count() == 1
    assert not Usage.objects.using(REPLICA).exists()
    models = apps.get_app_config("fieldstone_store").get_models()
    assert [model for model in models if router.allow_migrate_model(REPLICA, model)] == [StudentModuleHistory]


def test_asking_routers_costs_no_query(replicated):
    Store().save(1, {A: {"x": 1}})
    with CaptureQueriesContext(connections[PRIMARY]) as queries:
        Store().save(1, {A: {"x": 2}})
    assert len([query for query in queries if "fieldstone" in query["sql"]]) == 2
