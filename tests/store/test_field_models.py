"""The models with a row per field, as code written for Open edX uses them; on every engine."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, NotSupportedError, connections
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.block_types import BlockTypeKeyV1
from opaque_keys.edx.keys import CourseKey, UsageKey

from fieldstone.errors import InvalidLearnerError, InvalidPlaceError, InvalidValueError
from fieldstone.store import DELETED, Preferences, Summary, UserInfo
from fieldstone.store.models import (
    Usage,
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")
ASIDE = BlockTypeKeyV1("xblock_asides.v1", "acid_aside")


@pytest.fixture
def user(alias):
    return get_user_model().objects.db_manager(alias).create_user("ada")


@pytest.fixture
def summaries(alias, store):
    return XModuleUserStateSummaryField.objects.db_manager(alias)


@pytest.fixture
def preferences(alias, store):
    return XModuleStudentPrefsField.objects.db_manager(alias)


@pytest.fixture
def infos(alias, store):
    return XModuleStudentInfoField.objects.db_manager(alias)


def fields_of(store, user, place):
    state = store.read(user, [place]).get(place)
    return None if state is None else dict(state.fields)


@each_engine
def test_a_summary_is_made_and_found_by_its_usage_key(summaries, store, user):
    """In Open edX its ``usage_id`` is a key, and not the number of one."""
    row = summaries.create(field_name="a", value='"x"', usage_id=A)
    assert (row.usage_id, row.value, row.revision) == (A, '"x"', 1)
    assert fields_of(store, None, Summary(A)) == {"a": "x"}
    summaries.create(field_name="a", value="1", usage_id=str(B))
    assert summaries.get(usage_id=A) == summaries.get(usage_id=str(A), field_name="a") == row
    assert [r.usage_id for r in summaries.filter(usage_id__in=[A, B, usage("c")]).order_by("usage_id")] == [A, B]
    assert list(summaries.filter(field_name="a").order_by("value").values_list("usage_id", "value")) == [
        (A, '"x"'),
        (B, "1"),
    ]
    assert not summaries.filter(usage_id=usage("c")).exists()


@each_engine
def test_reading_summaries_costs_one_query(summaries, alias):
    for number in range(5):
        summaries.create(field_name="a", usage_id=usage(f"b{number}"))
    with CaptureQueriesContext(connections[alias]) as queries:
        assert {row.usage_id for row in summaries.all()} == {usage(f"b{number}") for number in range(5)}
    assert len(queries) == 1, queries.captured_queries


@each_engine
def test_an_old_key_of_a_summary_names_its_run(summaries, store):
    key = UsageKey.from_string("i4x://Org/Course/problem/old")
    with pytest.raises(InvalidPlaceError, match="map_into_course"):
        summaries.create(field_name="a", usage_id=key)
    key = key.map_into_course(CourseKey.from_string("Org/Course/Run"))
    summaries.create(field_name="a", usage_id=key)
    assert summaries.get().usage_id.course_key.run == "Run"


@each_engine
def test_preferences_are_made_by_block_type_and_by_that_of_an_aside(preferences, store, user):
    preferences.create(student=user, module_type="problem", field_name="p", value="1.5")
    row = preferences.create(student=user, module_type=BlockTypeKeyV1("xblock.v1", "html"), field_name="p")
    assert (row.module_type, row.value) == ("html", "null")
    preferences.create(student=user, module_type=ASIDE, field_name="p", value="[]")
    assert fields_of(store, user, Preferences("problem")) == {"p": 1.5}
    assert fields_of(store, user, Preferences(str(ASIDE))) == {"p": []}
    assert (
        preferences.get(module_type=ASIDE, student=user).module_type == "block-type-v1:xblock_asides.v1:acid_aside"
    )
    assert preferences.filter(module_type__in=["problem", ASIDE], student_id=user.pk).count() == 2
    assert preferences.get(module_type=BlockTypeKeyV1("xblock.v1", "problem")).value == "1.5"


@each_engine
def test_user_info_is_made_and_got_or_created(infos, store, user):
    row, is_new = infos.get_or_create(student=user, field_name="language", defaults={"value": '"de"'})
    assert (is_new, row.student) == (True, user)
    again, is_new = infos.get_or_create(student=user, field_name="language", defaults={"value": "1"})
    assert (is_new, again, again.value) == (False, row, '"de"')
    row, is_new = infos.update_or_create(student=user, field_name="language", defaults={"value": '"en"'})
    assert (is_new, row.value, row.revision) == (False, '"en"', 2)
    assert fields_of(store, user, UserInfo()) == {"language": "en"}


@each_engine
def test_a_saved_field_gets_a_revision_and_a_time(infos, preferences, summaries, store, user, alias):
    """What fills itself is not the caller's to give."""
    for row in (
        XModuleStudentInfoField(student=user, field_name="a", value="1", revision=7),
        XModuleStudentPrefsField(student=user, module_type="problem", field_name="a", value="1"),
        XModuleUserStateSummaryField(usage_id=A, field_name="a", value="1"),
    ):
        row.save(using=alias)
        assert (row.revision, row.created) == (1, row.modified)
        stored = type(row).objects.using(alias).get()
        assert (stored, stored.created, stored.revision) == (row, row.created, 1)
        stored.value = ' {"b" : 1}'
        stored.save()
        assert (stored.value, stored.revision, stored.created) == ('{"b":1}', 2, row.created)
        assert stored.modified > row.modified
        row.value = "2"
        row.save(update_fields=["value"])
        assert (row.revision, type(row).objects.using(alias).get().value) == (3, "2")


@each_engine
def test_a_field_made_twice_is_an_integrity_error(infos, summaries, user, alias):
    infos.create(student=user, field_name="a", value="1")
    with pytest.raises(IntegrityError):
        XModuleStudentInfoField(student=user, field_name="a", value="2").save(using=alias)
    summaries.create(usage_id=A, field_name="a")
    with pytest.raises(IntegrityError):
        summaries.create(usage_id=A, field_name="a", value="2")
    assert (infos.get().value, summaries.get().value) == ("1", "null")


@each_engine
def test_a_field_with_another_place_is_a_copy(summaries, infos, store, user):
    row = summaries.create(usage_id=A, field_name="a", value="1")
    row.usage_id = B
    row.save()
    row.field_name = "b"
    row.save()
    assert [fields_of(store, None, Summary(key)) for key in (A, B)] == [{"a": 1}, {"a": 1, "b": 1}]


@each_engine
@pytest.mark.parametrize("value", ["x", "", "{", None, 1, {"a": 1}, "'x'"], ids=repr)
def test_a_value_that_is_no_json_text_is_refused(infos, summaries, store, user, alias, value):
    for make in (
        lambda: infos.create(student=user, field_name="a", value=value),
        lambda: summaries.create(usage_id=A, field_name="a", value=value),
    ):
        with pytest.raises(InvalidValueError, match=r"'a' .* json.dumps\(value\) makes it"):
            make()
    assert not Usage.objects.using(alias).exists()
    row = infos.create(student=user, field_name="a", value="1")
    row.value = value
    with pytest.raises(InvalidValueError):
        row.save()
    assert fields_of(store, user, UserInfo()) == {"a": 1}


@each_engine
def test_bad_names_types_and_learners_are_refused(infos, preferences, user, settings):
    with pytest.raises(InvalidValueError, match="255"):
        infos.create(student=user, field_name="n" * 256)
    with pytest.raises(InvalidPlaceError, match="block type"):
        preferences.create(student=user, module_type="t" * 65, field_name="a")
    with pytest.raises(InvalidLearnerError):
        infos.create(field_name="a")
    settings.FIELDSTONE = {"MAX_VALUE_BYTES": 5}
    with pytest.raises(InvalidValueError, match="5 are allowed"):
        infos.create(student=user, field_name="a", value='"12345"')
    assert not infos.exists() and not preferences.exists()


@each_engine
def test_rows_are_deleted_and_not_updated_in_bulk(infos, summaries, store, user):
    store.save(user, {UserInfo(): {"a": 1, "b": 2, "c": 3}, Summary(A): {"a": 1, "b": 1}})
    for rows in (infos, summaries):
        with pytest.raises(NotSupportedError, match=r"update\(\) would write past revisions"):
            rows.filter(field_name="a").update(value="2")
        with pytest.raises(NotSupportedError):
            rows.bulk_create([])
    infos.get(field_name="a").delete()
    infos.filter(field_name="b").delete()
    summaries.filter(usage_id=A, field_name="a").delete()
    assert fields_of(store, user, UserInfo()) == {"c": 3}
    assert fields_of(store, user, Summary(A)) == {"b": 1}
    store.save(user, {UserInfo(): {"c": DELETED}})
    user.delete()
    assert not infos.exists()
