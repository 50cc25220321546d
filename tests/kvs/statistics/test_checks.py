"""The system checks of regions: each says something where it should, and nothing where not."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.test import modify_settings, override_settings

from fieldstone.kvs.checks import check_regions
from fieldstone.kvs.serializers import SignedPickleSerializer


def messages(*, deployed=False, **region):
    """What Django's checks say of a project with this region."""
    with override_settings(FIELDSTONE={"REGIONS": {"pages": region}}):
        return ours(run_checks(include_deployment_checks=deployed))


def ours(all_messages):
    return [message for message in all_messages if message.id.startswith("fieldstone_kvs.")]


def ids(*, deployed=False, **region):
    return [message.id.removeprefix("fieldstone_kvs.") for message in messages(deployed=deployed, **region)]


@pytest.mark.parametrize(
    "region",
    [
        {},
        {"BACKEND": "memory", "TTL": 60, "MAX_BYTES": 1000, "LOCKING": False, "FAIL": "open"},
        {"backend": "fieldstone.kvs.backends.memory.MemoryBackend", "serializer": "json"},
        {"BACKEND": "database"},
        {"BACKEND": "redis", "URL": "redis://127.0.0.1:1/0"},
        {"BACKEND": "memcached", "URL": "127.0.0.1:1"},
    ],
    ids=["empty", "memory", "dotted path", "database", "redis that is down", "memcached that is down"],
)
def test_a_region_that_can_be_configured_is_passed_without_asking_its_server(region):
    assert ids(**region) == []


def test_a_region_that_is_no_dict_is_an_error():
    with override_settings(FIELDSTONE={"REGIONS": {"pages": "memory"}}):
        (message,) = ours(run_checks(include_deployment_checks=True))
    assert message.id == "fieldstone_kvs.E201"
    assert "str" in message.msg


@pytest.mark.parametrize("given", [None, ["REGIONS"], {"REGIONS": None}, {"REGIONS": ["pages"]}])
def test_regions_that_are_no_dict_are_an_error_told_once(given):
    with override_settings(FIELDSTONE=given):
        (message,) = ours(run_checks(include_deployment_checks=True))
    assert message.id == "fieldstone_kvs.E201"


def test_a_name_that_no_region_can_have_is_an_error():
    with override_settings(FIELDSTONE={"REGIONS": {"my pages": {}}}):
        (message,) = ours(run_checks())
    assert message.id == "fieldstone_kvs.E205"
    assert "my pages" in message.msg


def test_an_option_that_nobody_reads_is_an_error_that_names_the_closest():
    (message,) = messages(BACKEND="memory", TTTL=60)
    assert message.id == "fieldstone_kvs.E202"
    assert "'TTTL'" in message.msg
    assert "'TTL'" in message.hint


def test_an_option_of_another_backend_is_an_error_too_and_the_hint_lists_what_there_is():
    (message,) = messages(BACKEND="memory", QQQ=1)
    assert message.id == "fieldstone_kvs.E202"
    assert "MAX_BYTES" in message.hint
    assert "LOCK_TIMEOUT" in message.hint


def test_a_backend_whose_extra_is_missing_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "needy_backend.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (message,) = messages(BACKEND="needy_backend.Backend")
    assert message.id == "fieldstone_kvs.E203"
    assert "a_package_that_nobody_has" in message.msg


def test_the_database_without_the_app_that_has_its_table_is_an_error():
    with (
        modify_settings(INSTALLED_APPS={"remove": ["fieldstone.kvs"]}),
        override_settings(FIELDSTONE={"REGIONS": {"pages": {"BACKEND": "database"}, "other": {}}}),
    ):
        (message,) = check_regions(None)
    assert message.id == "fieldstone_kvs.E204"
    assert "INSTALLED_APPS" in message.hint


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ({"BACKEND": "memroy"}, "memroy"),
        ({"TTL": -1}, "ttl is -1"),
        ({"MAX_BYTES": 0}, "max_bytes"),
        ({"SERIALIZER": "marshal"}, "marshal"),
        ({"KEY_MANGLER": 5}, "key_mangler is 5"),
        ({"KEY_MANGLER": "fieldstone.kvs.manglers.nothing"}, "nothing"),
        ({"BACKEND": "database", "USING": "nowhere"}, "nowhere"),
    ],
    ids=["backend", "ttl", "backend's own", "serializer", "mangler", "mangler's path", "alias"],
)
def test_whatever_else_keeps_a_region_from_being_configured_is_an_error(region, said):
    (message,) = messages(**region)
    assert message.id == "fieldstone_kvs.E205"
    assert said in message.msg
    assert "'pages'" in message.msg


def test_memory_is_warned_of_only_where_a_site_is_deployed():
    assert ids(BACKEND="memory", deployed=True) == ["W206"]
    assert ids(BACKEND="memory") == []
    assert ids(BACKEND="redis", URL="redis://127.0.0.1:1/0", deployed=True) == []


@pytest.mark.parametrize("serializer", ["pickle", SignedPickleSerializer()], ids=["by name", "an object"])
def test_pickles_are_warned_of_only_where_a_site_is_deployed(serializer):
    assert ids(BACKEND="database", SERIALIZER=serializer, deployed=True) == ["W207"]
    assert ids(BACKEND="database", SERIALIZER=serializer) == []
    assert ids(BACKEND="database", SERIALIZER="json", deployed=True) == []


def test_a_region_that_cannot_be_configured_is_told_once():
    assert ids(BACKEND="memory", TTL=-1, deployed=True) == ["E205"]
