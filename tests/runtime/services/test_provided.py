"""Which services a block gets, and what it hears of those that are not there."""

from __future__ import annotations

import pytest
from django.core import checks
from fs.errors import IllegalBackReference
from lxml import html
from xblock.exceptions import NoSuchServiceError

from fieldstone.runtime.services import MissingServiceError, explanation
from fieldstone.runtime.services.checks import check_services
from fieldstone.store.usages import forget_all
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import example, key_in, unit_of
from tests.runtime.services.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten", "asking_blocks")]

TEAMS = "tests.runtime.services.blocks.Teams"


@pytest.fixture
def asker(ada, tmp_path):
    course = unit_of(tmp_path, '<test-asker url_name="a"/>')
    page = page_of(course, ada)
    return page.get_block(key_in(course, "test-asker", "a"))


def provide(settings, **more):
    settings.FIELDSTONE = {**settings.FIELDSTONE, **more}


# What is not there


def explained(block, view):
    with pytest.raises(Exception) as raised:  # whatever a block makes of it
        getattr(block, view)()
    return explanation(block.runtime, block, raised.value)


@pytest.mark.parametrize("view", ["student_view", "wraps_view"])
def test_a_service_that_a_block_needs_and_nobody_provides_is_named(asker, view):
    sentence = explained(asker, view)
    assert "<test-asker> asks for the service 'teams', which this site does not provide" in sentence
    assert '"SERVICES": {"teams": "dotted.path"}' in sentence


def test_the_card_in_the_blocks_place_names_the_service(asker, caplog):
    card = html.fromstring(asker.render("student_view").content)
    assert "asks for the service 'teams', which this site does not provide" in card.text_content()


def test_a_service_that_a_block_only_wanted_is_named_when_the_block_fails(asker):
    assert "'partitions'" in explained(asker, "wants_view")


def test_a_service_that_a_block_has_not_declared_is_named_with_what_to_write(asker):
    assert '@XBlock.needs("bookmarks")' in explained(asker, "undeclared_view")


def test_a_blocks_own_error_is_not_explained_by_services(asker):
    assert explained(asker, "fails_view") is None


def test_a_missing_service_is_xblocks_error_with_the_names_of_both(asker):
    with pytest.raises(NoSuchServiceError) as raised:
        asker.student_view()
    assert isinstance(raised.value, MissingServiceError)
    assert (raised.value.service, raised.value.block_type) == ("teams", "test-asker")


# A site's own


def test_a_site_provides_services_of_its_own(settings, ada, tmp_path):
    provide(settings, SERVICES={"teams": TEAMS})
    course = unit_of(tmp_path, '<test-asker url_name="a"/>')
    block = page_of(course, ada).get_block(key_in(course, "test-asker", "a"))
    assert block.student_view().content == "<p>team of ada at test-asker</p>"


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("tests.runtime.services.blocks.Team", "Team"),
        ("tests.runtime.services.no_such_module.Teams", "no_such_module"),
        ("Teams", "Teams"),
        ("tests.runtime.services.blocks.NOT_CALLABLE", "callable"),
        (7, "int"),
    ],
)
def test_a_wrong_path_of_a_service_is_a_system_check(settings, path, word):
    provide(settings, SERVICES={"teams": path})
    (message,) = [found for found in checks.run_checks() if found.id == "fieldstone_runtime.E311"]
    assert "'teams'" in message.msg
    assert word in message.msg
    assert "dotted" in message.hint or "paths of callables" in message.hint


@pytest.mark.parametrize(
    ("xqueue", "ids"),
    [
        (None, []),
        ({"URL": "https://x.example.org", "CALLBACK": "http://127.0.0.1:8000", "WAIT_SECONDS": 1}, []),
        ({"URL": "https://x.example.org"}, ["E313"]),
        ({"URL": "x.example.org", "CALLBACK": "ftp://courses"}, ["E313", "E313"]),
        ({"URL": "http://x", "CALLBACK": "http://y", "PASWORD": "x"}, ["E312"]),
    ],
)
def test_an_external_grader_that_cannot_be_reached_is_a_system_check(settings, xqueue, ids):
    provide(settings, SERVICES={"teams": TEAMS}, XQUEUE=xqueue)
    found = check_services(None)
    assert [message.id.partition(".")[2] for message in found] == ids
    assert all(message.hint for message in found)


def test_settings_of_the_wrong_type_are_left_to_the_check_of_settings(settings):
    provide(settings, SERVICES=7, XQUEUE="https://x.example.org")
    assert check_services(None) == []


# settings


def test_a_block_gets_a_copy_of_the_sites_settings_for_it(settings, asker):
    provide(settings, BLOCK_SETTINGS={"asker": {"theme": {"package": "p"}}})
    service = asker.runtime.service(asker, "settings")
    service.get_settings_bucket(asker)["theme"]["package"] = "another"
    assert service.get_settings_bucket(asker, {"a": 1}) == {"theme": {"package": "p"}}


def test_a_block_without_a_key_finds_its_settings_by_its_classs_name(settings, ada):
    page = page_of(current_course(), ada)
    poll = page.get_block(example("poll", "study-habit"))
    service = page.service(poll, "settings")
    provide(settings, BLOCK_SETTINGS={"poll": {"IMG_ALT_MANDATORY": False}})
    assert poll.img_alt_mandatory() is False
    provide(settings, BLOCK_SETTINGS={"StructureBlock": {"a": 1}})
    assert service.get_settings_bucket(page.get_block(example("vertical", "welcome"))) == {"a": 1}


def test_a_block_that_the_site_sets_nothing_for_gets_its_default(asker):
    service = asker.runtime.service(asker, "settings")
    assert service.get_settings_bucket(asker) == {}
    assert service.get_settings_bucket(asker, default={"a": 1}) == {"a": 1}


# cache


def test_what_a_block_cached_the_next_request_has(ada, bob):
    key = example("problem", "q01-who-measured")
    first, second = (page_of(current_course(), user) for user in (ada, bob))
    first.service(first.get_block(key), "cache").set("test-services", ("emsg", {"a": [1]}))
    found = second.service(second.get_block(key), "cache")
    assert list(found.get("test-services")) == ["emsg", {"a": [1]}]
    found.delete("test-services")
    assert found.get("test-services", "none") == "none"


def test_what_is_cached_is_a_copy(ada):
    page = page_of(current_course(), ada)
    cache = page.service(page.get_block(example("problem", "q01-who-measured")), "cache")
    value = {"a": [1]}
    cache.set("test-services", value)
    value["a"].append(2)
    assert cache.get("test-services") == {"a": [1]}
    cache.delete("test-services")


# fs


@pytest.fixture
def keeper(ada, bob, tmp_path, settings):
    settings.MEDIA_ROOT, settings.MEDIA_URL = tmp_path / "media", "/media/"
    course = unit_of(tmp_path / "course", '<test-keeper url_name="k"/>')
    return lambda user: page_of(course, user).get_block(key_in(course, "test-keeper", "k"))


def test_a_file_is_found_again_by_its_learner_alone_and_a_shared_one_by_all(keeper, ada, bob, tmp_path):
    first = keeper(ada)
    first.mine.writetext("a.txt", "mine")
    first.ours.writetext("a.txt", "ours")
    forget_all()
    assert (keeper(ada).mine.readtext("a.txt"), keeper(ada).ours.readtext("a.txt")) == ("mine", "ours")
    assert (keeper(bob).mine.exists("a.txt"), keeper(bob).ours.readtext("a.txt")) == (False, "ours")
    url = first.mine.get_url("a.txt", 60)
    assert (tmp_path / "media" / url.removeprefix("/media/")).read_text() == "mine"


def test_a_name_that_leads_out_of_the_folder_is_refused(keeper, ada):
    with pytest.raises(IllegalBackReference):
        keeper(ada).mine.writetext("../../out.txt", "out")
