"""A region is configured once; what is wrong is told, and changes nothing."""

from __future__ import annotations

import math
import uuid

import pytest

from fieldstone.errors import AlreadyConfiguredError, NotConfiguredError, RegionConfigurationError
from fieldstone.kvs import Region, get_key_value_store, regions
from fieldstone.kvs.backends.memory import MemoryBackend
from fieldstone.kvs.manglers import sha1
from tests.kvs.proxies import Passing
from tests.kvs.workers import in_threads


@pytest.fixture
def name():
    name = f"core-{uuid.uuid4().hex[:8]}"
    yield name
    regions.forget(name)


@pytest.fixture
def configured_by(settings, name):
    """The region's configuration in the settings."""

    def configure(**configuration):
        settings.FIELDSTONE = {**settings.FIELDSTONE, "REGIONS": {name: configuration}}
        return regions[name]

    return configure


def test_a_name_has_one_region_for_all_threads(name):
    found = in_threads(8, lambda _: get_key_value_store(name))
    assert len(set(map(id, found))) == 1
    assert regions[name] is found[0]
    assert name in regions and name in set(regions)


def test_of_threads_that_configure_one_does_and_the_others_are_told(name):
    def configure(_):
        try:
            regions[name].configure("memory")
        except AlreadyConfiguredError:
            return False
        return True

    assert in_threads(8, configure).count(True) == 1
    assert regions[name].is_configured


def test_configuring_twice_is_an_error_and_changes_nothing(name):
    region = get_key_value_store(name).configure("memory")
    region.set("key", 1)
    with pytest.raises(AlreadyConfiguredError, match="already"):
        region.configure("memory")
    assert region.get("key") == 1


def test_an_unconfigured_region_says_what_to_do(name):
    region = get_key_value_store(name)
    calls = (
        lambda: region.get("a"),
        lambda: region.set("a", 1),
        lambda: region.lock("a"),
        lambda: region.abilities,
    )
    for call in calls:
        with pytest.raises(NotConfiguredError, match="configure"):
            call()
    region.close()
    assert not region.is_configured


def test_settings_configure_a_region_when_it_is_first_used(configured_by):
    region = configured_by(BACKEND="memory", TTL=60, LOCKING=False, MAX_BYTES=1000)
    assert not region.is_configured
    found = in_threads(
        8, lambda number: (region.set(f"{number}", number), region.backend, region.lock("key").enabled)
    )
    assert {enabled for _, _, enabled in found} == {False}
    assert len({id(backend) for _, backend, _ in found}) == 1
    assert region.abilities.max_value_bytes == 1000
    assert region._operations().options.ttl == 60


@pytest.mark.parametrize("configuration", [{"BACKEND": "memroy"}, {"BACKEND": "memory", "TLL": 5}], ids=repr)
def test_what_is_wrong_in_the_settings_is_told_at_each_use(configured_by, configuration):
    region = configured_by(**configuration)
    for _ in range(2):
        with pytest.raises(RegionConfigurationError, match=r"memroy|tll"):
            region.get("key")


def test_a_region_that_settings_give_no_dict_is_told(settings, name):
    settings.FIELDSTONE = {"REGIONS": {name: "memory"}}
    with pytest.raises(RegionConfigurationError, match="dict"):
        regions[name].get("key")


WRONG = [
    {"backing_store": "no.such.Backend"},
    {"backing_store": "nothing"},
    {"backing_store": ""},
    {"backing_store": None},
    {"backing_store": object},
    {"backing_store": "fieldstone.kvs.region.Region"},
    {"backing_store": "fieldstone.kvs.backends.memory.NoBackend"},
    {"no_such_option": 1},
    {"max_bytes": 0},
    {"max_bytes": "5"},
    {"ttl": 0},
    {"ttl": -1},
    {"ttl": "60"},
    {"ttl": True},
    {"ttl": math.nan},
    {"serializer": "pickel"},
    {"serializer": []},
    {"serializer": None},
    {"fail": "maybe"},
    {"breaker_failures": 0},
    {"breaker_failures": 1.5},
    {"breaker_failures": True},
    {"breaker_seconds": 0},
    {"lock_timeout": 0},
    {"lock_timeout": "5"},
    {"blocking_timeout": -1},
    {"max_lock_attempts": 0},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_what_is_wrong_is_told_and_the_region_can_be_configured_again(name, wrong):
    region = Region(name)
    with pytest.raises(RegionConfigurationError) as told:
        region.configure(**{"backing_store": "memory", **wrong})
    assert told.value.region == name
    named = next(iter(wrong))
    assert named == "backing_store" or named in str(told.value)
    assert not region.is_configured
    with pytest.raises(NotConfiguredError):
        region.get("key")
    region.configure("memory")
    region.set("key", 1)
    assert region.get("key") == 1


@pytest.mark.parametrize("key_mangler", [5, [], {}, 1.5])
def test_a_mangler_that_is_none_is_a_type_error_at_once(name, key_mangler):
    region = Region(name)
    with pytest.raises(TypeError, match="key_mangler"):
        region.configure("memory", key_mangler=key_mangler)
    assert region.configure("memory").is_configured


@pytest.mark.parametrize(
    "proxies", [[5], [object], [dict], "tests.kvs.proxies.Passing", 5, [Passing, None]], ids=repr
)
def test_proxies_that_are_none_are_a_type_error_at_once(name, proxies):
    region = Region(name)
    with pytest.raises((TypeError, RegionConfigurationError)):
        region.configure("memory", proxy_list=proxies)
    assert region.configure("memory").is_configured


@pytest.mark.parametrize(
    "wrong",
    [
        {"key_mangler": "no.such.mangler"},
        {"proxy_list": ["no.such.Proxy"]},
        {"proxy_list": ["tests.kvs.proxies.No"]},
    ],
    ids=repr,
)
def test_paths_that_lead_nowhere_are_told(name, wrong):
    region = Region(name)
    with pytest.raises((ImportError, RegionConfigurationError)):
        region.configure("memory", **wrong)
    assert region.configure("memory").is_configured


@pytest.mark.parametrize(
    "store", ["memory", "openstack.kvs.Memory", MemoryBackend, f"{MemoryBackend.__module__}.MemoryBackend"]
)
def test_a_backend_goes_by_its_name_an_older_name_its_class_or_its_path(name, store):
    assert isinstance(Region(name).configure(store).backend, MemoryBackend)


def test_settings_name_further_backends(settings, name):
    settings.FIELDSTONE = {"REGION_BACKENDS": {"ours": "tests.kvs.core.test_configuration.Ours"}}
    assert isinstance(Region(name).configure("ours", size=5).backend, Ours)


class Ours(MemoryBackend):
    use_backend_key_mangler = True

    def __init__(self, region, *, size=1):
        super().__init__(region)
        self.size = size

    @staticmethod
    def key_mangler(key):
        return f"own-{key}"


def test_an_unknown_option_is_told_with_those_that_there_are(name):
    with pytest.raises(RegionConfigurationError, match=r"Options.*max_bytes"):
        Region(name).configure("memory", maxbytes=1)


def test_whose_mangler_it_is(name, settings):
    """The one given; the backend's own if it insists; none at all where the settings say so."""
    assert Region(name).configure("memory")._operations().name("a") == f"{name}:a"
    assert Region(name).configure("memory", key_mangler=sha1)._operations().name("a") == f"{name}:{sha1('a')}"
    assert Region(name).configure(Ours, key_mangler=sha1)._operations().name("a") == f"{name}:own-a"
    assert Region(name).configure("memory", key_mangler=sha1)._operations().lock_name("a") == f"{name}!{sha1('a')}"
    settings.FIELDSTONE = {"KEY_MANGLING": False}
    assert Region(name).configure(Ours, key_mangler=sha1)._operations().name("a") == f"{name}:a"


@pytest.mark.parametrize("bad", ["", "a b", "a:b", "a!", "é", "a/b", "a\n"], ids=repr)
def test_a_name_that_servers_would_not_take_is_refused(bad):
    with pytest.raises(RegionConfigurationError, match="letters"):
        regions[bad]


def test_a_region_that_was_forgotten_is_another_one(name):
    first = regions[name].configure("memory")
    regions.forget(name)
    regions.forget(name)
    assert regions[name] is not first
    assert not regions[name].is_configured


def test_a_wrong_time_for_locks_in_the_configuration_is_told_there(name):
    with pytest.raises(RegionConfigurationError):
        Region(name).configure("memory", lock_timeout=math.inf)
    with pytest.raises(RegionConfigurationError):
        Region(name).configure("memory", blocking_timeout=math.inf)
    region = Region(name).configure("memory", blocking_timeout=0)
    assert region.lock("key").mutex.blocking_timeout == 0
