"""What blocks may know of who is looking."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone, translation

from fieldstone.runtime.services import anonymous_id, user_id_of
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import example
from tests.runtime.services.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


def user_service(user, **more):
    page = page_of(current_course(), user, **more)
    return page.service(page.get_block(example("problem", "q01-who-measured")), "user")


def attributes(user, **more):
    known = user_service(user, **more).get_current_user().opt_attrs
    return {name.removeprefix("edx-platform."): value for name, value in known.items()}


def test_blocks_learn_who_is_looking():
    user = get_user_model().objects.create_user("ada", email="ada@example.org", first_name="Ada", last_name="L")
    known = user_service(user).get_current_user()
    assert (known.is_current_user, known.emails, known.full_name) == (True, ["ada@example.org"], "Ada L")
    found = attributes(user)
    assert (found["user_id"], found["username"], found["email"]) == (user.pk, "ada", "ada@example.org")
    assert found["is_authenticated"] is True
    assert found["user_role"] == "student"


def test_blocks_learn_language_and_time_zone(ada):
    with translation.override("fr"), timezone.override("Europe/Paris"):
        found = attributes(ada)
    assert found["user_preferences"] == {"pref-lang": "fr", "time_zone": "Europe/Paris"}
    assert found["time_zone"] == "Europe/Paris"


def test_a_block_that_indexes_the_country_gets_none(ada):
    assert attributes(ada)["request_country_code"] is None


def test_a_visitor_has_no_name_and_no_number():
    found = attributes(AnonymousUser())
    assert (found["is_authenticated"], found["user_id"], found["username"]) == (False, None, "")
    assert found["user_is_staff"] is False


@pytest.mark.parametrize(
    ("django_staff", "setting", "is_author", "is_staff"),
    [
        (True, None, False, False),
        (True, True, False, True),
        (False, True, False, False),
        (False, None, True, True),
    ],
)
def test_staff_to_blocks_is_the_author_and_who_the_site_says(
    ada, settings, django_staff, setting, is_author, is_staff
):
    ada.is_staff = django_staff
    if setting is not None:
        settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE_STAFF": setting}
    found = attributes(ada, is_author=is_author)
    assert (found["user_is_staff"], found["user_role"]) == (is_staff, "staff" if is_staff else "student")


# Anonymous ids


def test_an_anonymous_id_is_the_same_every_time_and_another_for_each_learner_and_course(ada, bob):
    mine = attributes(ada)["anonymous_user_id"]
    assert mine == attributes(ada)["anonymous_user_id"]
    assert len({mine, attributes(bob)["anonymous_user_id"], attributes(ada)["deprecated_anonymous_user_id"]}) == 3
    assert len(mine) == 32


@pytest.mark.parametrize("user_id", [0, 1, 2**31, 2**63 - 1])
def test_an_anonymous_id_leads_back_to_its_learner_in_its_course_alone(user_id):
    made = anonymous_id(user_id, "course-v1:A+B+C")
    assert user_id_of(made, "course-v1:A+B+C") == user_id
    assert user_id_of(made, "course-v1:A+B+D") is None


def test_neighbours_ids_have_nothing_in_common():
    ids = [bytes.fromhex(anonymous_id(number, "")) for number in range(300)]
    for position in range(16):
        assert len({one[position] for one in ids}) > 100, "a byte that hardly changes tells of the number"


@pytest.mark.parametrize("position", range(32))
def test_an_id_with_one_digit_changed_is_nobodys(position):
    made = anonymous_id(7, "")
    other = "0" if made[position] != "0" else "1"
    assert user_id_of(made[:position] + other + made[position + 1 :], "") is None


@pytest.mark.parametrize("text", ["", "student", "é" * 32, "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n"])
def test_what_is_no_id_is_nobodys(text):
    assert user_id_of(text, "") is None


def test_a_new_secret_key_makes_new_ids_and_knows_the_old_ones_by_its_fallbacks(settings):
    old = anonymous_id(7, "")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert anonymous_id(7, "") != old
    assert user_id_of(old, "") == 7
    settings.SECRET_KEY_FALLBACKS = []
    assert user_id_of(old, "") is None


def test_blocks_find_the_learner_of_an_anonymous_id_without_searching(ada, bob, django_assert_num_queries):
    service, made = user_service(ada), attributes(bob)["anonymous_user_id"]
    with django_assert_num_queries(1):
        assert service.get_user_by_anonymous_id(made) == bob
    assert service.get_user_by_anonymous_id(attributes(bob)["deprecated_anonymous_user_id"]) == bob
    assert service.get_user_by_anonymous_id() == ada
    with django_assert_num_queries(0):
        assert service.get_user_by_anonymous_id("0" * 32) is None


def test_the_id_of_a_deleted_account_is_nobodys(ada, bob):
    made = attributes(bob)["anonymous_user_id"]
    bob.delete()
    assert user_service(ada).get_user_by_anonymous_id(made) is None


def test_only_staff_learns_anothers_anonymous_id(ada, bob):
    course = str(current_course().key)
    assert user_service(ada).get_anonymous_user_id("bob", course) is None
    staff = user_service(ada, is_author=True)
    assert staff.get_anonymous_user_id("bob", course) == attributes(bob)["anonymous_user_id"]
    assert staff.get_anonymous_user_id("nobody", course) is None
