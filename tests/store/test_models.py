"""``StudentModule`` as code written for Open edX uses it: factories, filters, plain keys and states."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, IntegrityError, NotSupportedError, connections, transaction
from django.db.models import Avg, Count, Q
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import InvalidLearnerError, InvalidPlaceError, InvalidValueError
from fieldstone.store import DELETED, Grade, Store
from fieldstone.store.engines.walk import Part
from fieldstone.store.models import StudentModule, StudentModuleHistory, Usage
from fieldstone.store.verify import Verification
from fieldstone.testing.faults import at_statement
from fieldstone.values import Fields
from tests.conftest import COURSE, each_engine, usage
from tests.engines.writer import Writers
from tests.strategies import field_names, json_values

A, B, C = usage("a"), usage("b"), usage("c", "html")
OTHER = CourseLocator("Org", "Course", "Other")
OLD_COURSE = CourseKey.from_string("Org/Course/Run")
OLD = UsageKey.from_string("i4x://Org/Course/problem/old")


@pytest.fixture
def rows(alias, store):
    """``StudentModule.objects`` of the engine; whatever a test does, states and history agree in the end."""
    yield StudentModule.objects.db_manager(alias)
    assert [finding for batch in Verification(alias, Part()).batches() for finding in batch] == []


@pytest.fixture
def user(alias):
    return get_user_model().objects.db_manager(alias).create_user("ada")


def made(rows, user, key=A, **given):
    return rows.create(
        **{"student": user, "course_id": COURSE, "module_state_key": key, "state": '{"a": 1}', **given}
    )


def fields_of(store, user, key=A):
    return dict(store.read(user, [key])[key].fields)


def deltas(store, user, key=A):
    return [dict(revision.changes) for revision in reversed(store.history(user, key))]


# Making rows


@each_engine
def test_a_row_is_made_as_factories_make_it(rows, store, user):
    row = made(rows, user, module_type="problem", grade=1, max_grade=2)
    for found in (row, rows.get()):
        assert (found.student, found.student_id) == (user, user.pk)
        assert (found.course_id, found.module_state_key, found.module_type) == (COURSE, A, "problem")
        assert (found.state, found.grade, found.max_grade, found.done) == ('{"a": 1}', 1, 2, "na")
        assert found.revision == 1
        assert found.created == found.modified == store.read(user, [A])[A].modified
    assert row == rows.get()
    assert fields_of(store, user) == {"a": 1}
    assert [revision.origin for revision in store.history(user, A)] == ["StudentModule.save"]


@each_engine
def test_a_row_is_made_of_a_constructor_and_save(rows, store, user, alias):
    row = StudentModule(module_state_key=A, student_id=user.pk, state='{"a": [1.0, null, "\\u0000"]}')
    assert (row.module_state_key, row.course_id, row.module_type) == (A, COURSE, "problem")
    row.save(using=alias)
    assert fields_of(store, user) == {"a": [1.0, None, "\x00"]}


@each_engine
def test_a_row_that_nobody_looked_at_has_no_state_and_an_emptied_one_has(rows, store, user, alias):
    """NULL is "never looked at", ``{}`` emptied; both read as no fields."""
    made(rows, user, A, state=None)
    made(rows, user, B, state="{}")
    rows.create(student=user, module_state_key=C)
    store.save(user, {}, grades={usage("d"): Grade(1, 2)})
    states = {row.module_state_key: row.state for row in rows.all()}
    assert states == {A: None, B: "{}", C: None, usage("d"): None}
    assert {row.module_state_key for row in rows.filter(state__isnull=True)} == {A, C, usage("d")}
    assert [row.module_state_key for row in rows.exclude(state=None)] == [B]
    read = store.read(user, list(states))
    assert all(dict(state.fields) == {} for state in read.values())
    assert len(read) == len(list(store.scan(context=COURSE))) == 4
    assert dict(store.at(user, A, revision=1).fields) == {}


@each_engine
def test_the_first_field_of_a_row_that_had_a_grade_alone_makes_it_an_object(rows, store, user, alias):
    store.save(user, {}, grades={A: Grade(1, 2), B: Grade(1, 2)})
    store.save(user, {}, grades={A: Grade(2, 2), B: Grade(2, 2)})
    assert {row.state for row in rows.all()} == {None}
    store.save(user, {A: {"x": None, "y": DELETED}, B: {"y": DELETED}})
    assert json.loads(rows.get(module_state_key=A).state) == {"x": None}
    assert rows.get(module_state_key=B).state == "{}"
    store.restore(user, A, revision=1)
    assert fields_of(store, user) == {}


@each_engine
def test_making_a_row_twice_is_an_integrity_error_and_changes_nothing(rows, store, user, alias):
    made(rows, user)
    with pytest.raises(IntegrityError, match=r"has a row at .* already: get_or_create"):
        made(rows, user, state='{"b": 2}')
    with pytest.raises(IntegrityError):
        StudentModule(student=user, module_state_key=A, state='{"b": 2}').save(using=alias)
    assert deltas(store, user) == [{"a": 1}]


@each_engine
def test_get_or_create_makes_a_row_once(rows, store, user, alias):
    given = {"student": user, "course_id": COURSE, "module_state_key": A}
    row, is_new = rows.get_or_create(**given, defaults={"state": "{}", "module_type": "problem", "grade": None})
    assert (is_new, row.state, row.module_type) == (True, "{}", "problem")
    again, is_new = rows.get_or_create(**given, defaults={"state": '{"other": 1}'})
    assert (is_new, again, again.state) == (False, row, "{}")
    assert deltas(store, user) == [{}]


def _save_theirs(learner):
    Store().save(learner, {A: {"theirs": 1}})
    yield "saved"


@each_engine
def test_get_or_create_gets_the_row_that_another_process_made_meanwhile(rows, user, alias):
    """It appears between the look and the insert."""
    told = []

    def save_theirs():
        told.extend(writers.start(_save_theirs, user.pk).rest())

    with Writers(alias) as writers, at_statement("^SELECT", save_theirs, when="after", using=alias):
        row, is_new = rows.get_or_create(student=user, module_state_key=A, defaults={"state": '{"mine": 1}'})
    assert told == ["saved"]
    assert (is_new, json.loads(row.state)) == (False, {"theirs": 1})
    assert rows.get().revision == 1


@each_engine
def test_update_or_create_changes_what_it_names(rows, store, user):
    given = {"student": user, "module_state_key": A}
    _, is_new = rows.update_or_create(**given, defaults={"state": '{"a": 1}'})
    assert is_new
    row, is_new = rows.update_or_create(**given, defaults={"grade": 1, "max_grade": 4})
    assert (is_new, row.grade, row.state) == (False, 1, '{"a": 1}')
    row, _ = rows.update_or_create(**given, defaults={"state": '{"b": 2}'})
    assert fields_of(store, user) == {"b": 2}
    assert deltas(store, user) == [{"a": 1}, {}, {"a": DELETED, "b": 2}]


@each_engine
def test_what_contradicts_the_usage_key_is_said(rows, user, alias):
    with pytest.raises(InvalidPlaceError, match=r"Other, and .* is of course-v1:Org\+Course\+Run"):
        made(rows, user, course_id=OTHER)
    assert not Usage.objects.using(alias).exists()
    with pytest.warns(UserWarning, match=r"module_type is 'video', and .* is of type 'problem', which is stored"):
        row = made(rows, user, module_type="video")
    assert row.module_type == rows.get().module_type == "problem"
    row.module_type = "video"
    with pytest.warns(UserWarning, match="module_type is 'video'") as caught:
        row.save()
    assert [warning.filename for warning in caught] == [__file__], "whoever is warned should find the call"


@each_engine
@pytest.mark.parametrize("state", ["", "{", "[]", "1", "null", '"{}"', b"{}", {"a": 1}, "NaN"], ids=repr)
def test_a_state_that_is_no_json_object_is_refused(rows, user, alias, state):
    with pytest.raises(InvalidValueError, match=r"json.dumps\(fields\)|a JSON object"):
        made(rows, user, state=state)
    assert not Usage.objects.using(alias).exists()
    row = made(rows, user)
    row.state = state
    with pytest.raises(InvalidValueError):
        row.save()
    assert rows.get().state == '{"a": 1}'


@each_engine
def test_bad_fields_and_grades_and_learners_are_refused(rows, user, alias):
    for wrong, error in (
        ({"state": '{"a\\u0000": 1}'}, InvalidValueError),
        ({"grade": float("nan"), "max_grade": 1}, InvalidValueError),
        ({"student": None}, InvalidLearnerError),
        ({"module_state_key": "no key"}, InvalidPlaceError),
        ({"course_id": "no key"}, InvalidPlaceError),
    ):
        with pytest.raises(error):
            made(rows, user, **wrong)
    with pytest.raises(TypeError, match="colour"):
        made(rows, user, colour="red")
    assert not Usage.objects.using(alias).exists()


# Keys


@each_engine
def test_keys_are_taken_as_text_too(rows, user):
    row = made(rows, user, key=str(A), course_id=str(COURSE))
    assert (row.module_state_key, row.course_id) == (A, COURSE)
    assert rows.get(module_state_key=str(A), course_id=str(COURSE)) == row
    assert rows.get(module_state_key__in=[str(A), B]) == row
    assert rows.get(course_id=COURSE.for_branch("draft")) == row


@each_engine
def test_old_keys_are_mapped_into_their_run(rows, store, user):
    """Two runs that share a key are told apart, in making, in finding and in reading."""
    second = CourseKey.from_string("Org/Course/Second")
    for run, key in ((OLD_COURSE, OLD), (second, str(OLD))):
        made(rows, user, key=key, course_id=run, state=json.dumps({"run": run.run}))
    for run in (OLD_COURSE, second):
        row = rows.get(course_id=run, module_state_key=OLD)
        assert row.module_state_key == OLD.map_into_course(run)
        assert (row.course_id, row.module_state_key.course_key, json.loads(row.state)) == (
            run,
            run,
            {"run": run.run},
        )
        for keys in ([OLD, A], (OLD, A), {OLD, A}, frozenset([OLD])):
            assert rows.get(module_state_key__in=keys, course_id=str(run)) == row
        assert rows.get(module_state_key__exact=OLD, course_id=run) == row
        history = StudentModuleHistory.objects.using(rows.db)
        assert history.get(module_state_key=OLD, course_id=run).usage_id == row.usage_id
        again, is_new = rows.get_or_create(student=user, course_id=run, module_state_key=OLD)
        assert (again, is_new) == (row, False)
        assert fields_of(store, user, OLD.map_into_course(run)) == {"run": run.run}
    assert rows.exclude(course_id=second, module_state_key=OLD).get().course_id == OLD_COURSE


@each_engine
def test_an_old_key_without_a_run_is_refused(rows, user):
    for call in (lambda: rows.get(module_state_key=OLD), lambda: rows.create(student=user, module_state_key=OLD)):
        with pytest.raises(InvalidPlaceError, match="map_into_course"):
            call()


# Finding and reading


@pytest.fixture
def page(rows, user, alias):
    """Rows of two learners in two courses."""
    bob = get_user_model().objects.db_manager(alias).create_user("bob")
    for student in (user, bob):
        for number, key in enumerate([A, B, C, usage("a", course=OTHER)]):
            rows.create(student=student, module_state_key=key, state="{}", grade=number, max_grade=4)
    return bob


@each_engine
def test_rows_are_found_by_learner_course_key_and_type(rows, page, user):
    def keys(**lookups):
        return [row.module_state_key for row in rows.filter(**lookups).order_by("student", "module_state_key")]

    elsewhere = usage("a", course=OTHER)
    assert keys(student=user, course_id=COURSE) == [C, A, B]
    assert keys(student_id=user.pk, course_id=OTHER) == [elsewhere]
    assert keys(student=user, module_type="html") == [C]
    assert keys(student=user, module_state_key=B) == [B]
    assert keys(student=user, module_state_key__in=[A, elsewhere, usage("none")]) == [elsewhere, A]
    assert keys(student__username="bob", module_type="html") == [C]
    assert keys(module_state_key__in=[]) == []
    assert rows.exclude(course_id=COURSE).filter(student=user).get().module_state_key == elsewhere
    assert rows.filter(Q(module_state_key=A) | Q(course_id=OTHER), ~Q(student=page)).count() == 2
    assert rows.filter(course_id=COURSE, grade__gt=0).values("module_type").annotate(n=Count("student")).order_by(
        "module_type"
    ).values_list("module_type", "n")[0] == ("html", 2)
    assert rows.filter(course_id=COURSE).aggregate(mean=Avg("grade"))["mean"] == 1


@each_engine
def test_values_show_keys_and_plain_states(rows, page, user):
    found = rows.filter(student=user, course_id=OTHER)
    assert list(
        found.values_list("module_state_key", "course_id", "module_type", "grade", "max_grade", "state")
    ) == [(usage("a", course=OTHER), OTHER, "problem", 3, 4, "{}")]
    assert found.values_list("created", flat=True).get() == found.get().created
    assert (found.count(), found.exists(), found.first().grade, len(found)) == (1, True, 3, 1)
    assert not rows.filter(module_state_key=usage("none")).exists()
    assert found.values()[0]["module_state_key"] == usage("a", course=OTHER)


@each_engine
def test_reading_rows_costs_one_query(rows, page, alias):
    with CaptureQueriesContext(connections[alias]) as queries:
        told = {
            (row.student_id, row.course_id, row.module_state_key, row.module_type, row.state) for row in rows.all()
        }
    assert len(told) == 8
    assert len(queries) == 1, queries.captured_queries


@each_engine
def test_states_are_not_compared_in_sql(rows, page):
    for lookup in ({"state": "{}"}, {"state__contains": "a"}, {"state__in": ["{}"]}):
        with pytest.raises(NotSupportedError, match=r"look into \.state in Python"):
            rows.filter(**lookup).count()


@each_engine
def test_a_row_is_locked_without_the_keys_that_all_learners_share(rows, page, user, alias):
    if not connections[alias].features.has_select_for_update_of:
        pytest.skip("the engine locks whatever a query reads, or has no row locks")
    with transaction.atomic(alias), CaptureQueriesContext(connections[alias]) as queries:
        assert rows.select_for_update().get(student=user, module_state_key=A).grade == 0
        assert rows.select_for_update().filter(student=user).values_list("grade", flat=True)[0] == 0
    assert 'FOR UPDATE OF "fieldstone_student_module"' in queries.captured_queries[0]["sql"]


# Saving rows


@each_engine
def test_a_saved_row_writes_what_it_changed(rows, store, user):
    made(rows, user, state='{"a": 1, "b": [1], "c": 1, "d": true}')
    row = rows.get()
    state = json.loads(row.state)
    del state["a"]
    row.state = json.dumps({**state, "c": 1.0, "d": 1, "e": None})
    row.grade, row.max_grade = 1, 2
    row.save()
    assert deltas(store, user)[1:] == [{"a": DELETED, "c": 1.0, "d": 1, "e": None}]
    assert repr(fields_of(store, user)["c"]) == "1.0"
    assert (row.revision, row.modified) == (2, rows.get().modified)
    assert rows.get().grade == 1


@each_engine
def test_a_row_loaded_long_ago_undoes_nobodys_work(rows, store, user):
    made(rows, user, state='{"a": 1, "b": 1}')
    stale = rows.get()
    store.save(user, {A: {"a": 2, "c": 3}}, grades={A: Grade(1, 2)})
    stale.state = '{"a": 1, "b": 2}'
    stale.save()
    assert fields_of(store, user) == {"a": 2, "b": 2, "c": 3}
    assert (json.loads(stale.state), stale.revision) == ({"a": 2, "b": 2, "c": 3}, 3)
    assert (stale.grade, stale.max_grade) == (1, 2)
    stale.state = '{"c": 3}'  # and again, from there
    stale.save()
    assert fields_of(store, user) == {"c": 3}
    assert rows.get().grade == 1


@each_engine
def test_saving_a_row_that_did_not_change_writes_nothing(rows, user, alias):
    row = made(rows, user, grade=1, max_grade=2)
    row.state = '{ "a":1 }'
    for unchanged in (row, rows.get()):
        with CaptureQueriesContext(connections[alias]) as queries:
            unchanged.save()
        assert len(queries) == 0, queries.captured_queries
    assert rows.get().revision == 1


@each_engine
def test_only_the_named_fields_are_saved(rows, store, user):
    row = made(rows, user)
    row.state, row.grade, row.max_grade = '{"a": 2}', 1, 2
    row.save(update_fields=["grade", "max_grade"])
    assert (fields_of(store, user), rows.get().grade) == ({"a": 1}, 1)
    row.save(update_fields=["state"])
    assert fields_of(store, user) == {"a": 2}
    row.grade, row.max_grade = 1.5, 9
    row.save(update_fields=["grade"])
    assert (rows.get().grade, rows.get().max_grade) == (1.5, 2)
    with pytest.raises(ValueError, match="do not exist in this model"):
        row.save(update_fields=["module_state_key"])


@each_engine
def test_deferred_fields_stay_as_they_are(rows, store, user):
    made(rows, user, grade=1, max_grade=2)
    row = rows.only("student").get()
    row.grade = 2
    row.save()
    row = rows.defer("state").get()
    row.grade = 1.5
    row.save()
    assert (fields_of(store, user), rows.get().grade) == ({"a": 1}, 1.5)
    assert row.state == '{"a": 1}'
    row.state = '{"a": 3}'
    row.save()
    row = rows.defer("state", "grade").get()
    row.state, row.grade, row.max_grade = '{"b": 1}', None, None
    row.save()
    assert deltas(store, user) == [{"a": 1}, {}, {}, {"a": 3}, {"a": DELETED, "b": 1}]
    assert rows.get().grade is None


@each_engine
def test_a_refreshed_row_shows_and_keeps_what_is_stored(rows, store, user):
    row = made(rows, user)
    store.save(user, {A: {"b": 1}}, grades={A: Grade(1, 2)})
    row.refresh_from_db(fields=["state"])
    assert (json.loads(row.state), row.grade, row.module_state_key) == ({"a": 1, "b": 1}, None, A)
    row.refresh_from_db()
    assert (row.grade, row.revision) == (1, 2)
    row.state = "{}"
    row.save()
    assert fields_of(store, user) == {}


@each_engine
def test_a_grade_is_taken_away_and_done_is_kept(rows, store, user):
    row = made(rows, user, grade=1, max_grade=2, done="f")
    assert rows.get().done == "f"
    row.grade = row.max_grade = None
    row.done = "i"
    row.save()
    assert (rows.get().grade, rows.get().done, store.read(user, [A])[A].done) == (None, "i", "i")


@each_engine
def test_a_done_that_the_database_refuses_keeps_the_state_from_being_saved(rows, store, user):
    row = made(rows, user)
    row.state, row.done = '{"a": 2}', None
    with pytest.raises(IntegrityError):
        row.save()
    assert deltas(store, user) == [{"a": 1}]
    row.done = "f"
    row.save()
    assert (deltas(store, user), rows.get().done) == ([{"a": 1}, {"a": 2}], "f")


@each_engine
def test_a_row_with_another_learner_or_block_is_a_copy(rows, store, user, alias):
    bob = get_user_model().objects.db_manager(alias).create_user("bob")
    row = made(rows, user)
    row.student = bob
    row.save()
    row.module_state_key = B
    row.save()
    assert rows.count() == 3
    assert fields_of(store, bob, B) == fields_of(store, bob) == fields_of(store, user) == {"a": 1}


@each_engine
def test_a_forced_update_of_no_row_makes_none(rows, user, alias):
    with pytest.raises(DatabaseError, match="did not affect any rows"):
        StudentModule(student=user, module_state_key=A, state='{"a": 1}').save(using=alias, force_update=True)
    assert not rows.exists()


@each_engine
def test_signals_are_sent_as_for_any_model(rows, user, alias):
    heard = []

    def hear_before(sender, instance, **told):
        heard.append(("before", instance.module_state_key, told["using"]))

    def hear_after(sender, instance, created, **_):
        heard.append(("after", created, instance.revision))

    pre_save.connect(hear_before, sender=StudentModule)
    post_save.connect(hear_after, sender=StudentModule)
    try:
        row = made(rows, user)
        row.state = "{}"
        row.save()
    finally:
        pre_save.disconnect(hear_before, sender=StudentModule)
        post_save.disconnect(hear_after, sender=StudentModule)
    assert heard == [("before", A, alias), ("after", True, 1), ("before", A, alias), ("after", False, 2)]


@each_engine
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(states=st.lists(st.none() | st.dictionaries(field_names, json_values, max_size=4), min_size=1, max_size=4))
def test_any_states_are_kept_as_they_are(rows, store, user, states, alias):
    with transaction.atomic(alias):
        made(rows, user, state=None)
        for state in states:
            row = rows.get()
            row.state = None if state is None else json.dumps(state)
            row.save()
            stored = rows.get().state
            assert json.dumps(json.loads(stored or "{}"), sort_keys=True) == json.dumps(
                state or {}, sort_keys=True
            )
            assert repr(sorted(fields_of(store, user).items())) == repr(sorted((state or {}).items()))
        transaction.set_rollback(True, using=alias)


# What would bypass the store


@each_engine
def test_updates_in_bulk_are_refused(rows, page, user, alias):
    for call in (
        lambda: rows.filter(student=user).update(grade=5),
        lambda: rows.bulk_create([StudentModule(student=user, module_state_key=usage("new"))]),
        lambda: rows.bulk_update(list(rows.all()), ["grade"]),
    ):
        with pytest.raises(NotSupportedError, match=r"Nothing was written: save\(\) each row"):
            call()
    assert rows.filter(grade=5).count() == 0


@each_engine
def test_a_deleted_row_is_emptied_and_can_be_restored(rows, store, user):
    row = made(rows, user, grade=1, max_grade=2)
    assert row.delete() == (1, {"fieldstone_store.StudentModule": 1})
    assert (row.state, row.grade, row.revision) == ("{}", None, 2)
    assert fields_of(store, user) == {}
    assert [revision.origin for revision in store.history(user, A)] == [
        "StudentModule.delete",
        "StudentModule.save",
    ]
    assert row.delete() == (1, {"fieldstone_store.StudentModule": 1})
    assert rows.get().revision == 2
    store.restore(user, A, revision=1)
    assert (fields_of(store, user), rows.get().grade) == ({"a": 1}, 1)


@each_engine
def test_deleted_rows_of_a_queryset_are_emptied(rows, store, page, user, alias):
    heard = []

    def hear(sender, instance, **_):
        heard.append((instance.student_id, instance.module_state_key))

    store.save(user, {A: {"x": 1}, B: {"x": 1, "y": None}})
    pre_delete.connect(hear, sender=StudentModule)
    post_delete.connect(hear, sender=StudentModule)
    try:
        deleted = rows.filter(module_state_key__in=[A, B]).delete()
    finally:
        pre_delete.disconnect(hear, sender=StudentModule)
        post_delete.disconnect(hear, sender=StudentModule)
    assert deleted == (4, {"fieldstone_store.StudentModule": 4})
    assert len(heard) == 8 and set(heard) == {(u.pk, key) for u in (user, page) for key in (A, B)}
    assert {row.grade for row in rows.filter(module_state_key__in=[A, B])} == {None}
    assert fields_of(store, user, B) == {}
    assert rows.filter(grade=None).count() == 4
    for wrong in (rows.all()[:1], rows.values("grade"), rows.distinct()):
        with pytest.raises(TypeError):
            wrong.delete()


@each_engine
def test_rows_whose_deletion_fails_at_its_end_are_all_kept(rows, user):
    for key in (A, B):
        made(rows, user, key)

    def refuse(instance, **_):
        if instance.module_state_key == B:
            raise ZeroDivisionError

    post_delete.connect(refuse, sender=StudentModule)
    try:
        with pytest.raises(ZeroDivisionError):
            rows.all().delete()
        with pytest.raises(ZeroDivisionError):
            rows.get(module_state_key=B).delete()
    finally:
        post_delete.disconnect(refuse, sender=StudentModule)
    assert [(row.state, row.revision) for row in rows.all()] == [('{"a": 1}', 1)] * 2


@each_engine
def test_deleting_a_user_deletes_the_rows_and_their_history(rows, page, user, alias):
    user.delete()
    assert {row.student_id for row in rows.all()} == {page.pk}
    assert {row.student_id for row in StudentModuleHistory.objects.using(alias)} == {page.pk}


@each_engine
def test_a_damaged_state_is_named_and_the_rest_of_its_row_is_read(store, user, alias):
    rows = StudentModule.objects.db_manager(alias)
    made(rows, user)
    with connections[alias].cursor() as cursor:
        cursor.execute("UPDATE fieldstone_student_module SET fields = 'no JSON'")
    with pytest.raises(ValueError, match="fieldstone_verify"):
        rows.get()
    assert rows.defer("state").get().module_state_key == A
    with pytest.raises(DatabaseError):
        store.save(user, {A: {"x": 1}, B: {"x": 1}})
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT fields, revision FROM fieldstone_student_module")
        assert cursor.fetchall() in ([("no JSON", 1)], (("no JSON", 1),))


def test_the_field_encoded_in_the_column_is_what_the_store_writes():
    """A fixture, which is written row by row past the store, writes the same text."""
    field = StudentModule._meta.get_field("state")
    stored = field.get_prep_value('{"a": [1, null], "b": "\\u0000"}')
    assert dict(Fields.from_text(stored)) == {"a": [1, None], "b": "\x00"}
    assert json.loads(field.from_db_value(stored)) == {"a": [1, None], "b": "\x00"}
