"""The workbench's pages, in Django's test client: what they show, of whom, and at what cost."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fieldstone.store.models import StudentModule, StudentModuleHistory
from fieldstone.store.store import Store
from fieldstone.testing import query_budget
from fieldstone.values import DELETED
from fieldstone.workbench.courses import current_course, units_of
from tests.runtime.courses import COURSE_XML, RenamedTable, course_files, example
from tests.workbench.pages import file_of, send, send_answer, state_url, unit_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

UNITS = [unit.usage_key for unit in units_of(current_course())]


def problems_of(unit):
    blocks = current_course().block(unit).descendants()
    return [block.usage_key for block in blocks if block.block_type == "problem"]


# The outline and the units


def test_the_outline_names_every_unit_and_links_to_it(client):
    page = client.get("/").content.decode()
    for unit in units_of(current_course()):
        assert f'href="{unit_url(unit.usage_key)}"' in page
    assert "Choose a learner" in page
    assert "could not be loaded" not in page


def test_the_outline_says_what_its_learner_has_stored(client, ada, bob):
    send_as(client, ada, example("poll", "study-habit"), "vote", {"choice": "recall"})
    assert "1 of 2 stored" in client.get("/").content.decode()
    client.force_login(bob)
    assert "stored</span>" not in client.get("/").content.decode()


def send_as(client, user, usage_key, name, body):
    client.force_login(user)
    response = send(client, usage_key, name, body)
    assert response.status_code == 200, response.content
    return response


@pytest.mark.parametrize("unit", UNITS, ids=[unit.block_id for unit in UNITS])
@pytest.mark.parametrize("has_account", [True, False], ids=["learner", "visitor"])
def test_a_unit_shows_its_blocks_to_learners_and_visitors(client, ada, unit, has_account):
    if has_account:
        client.force_login(ada)
    response = client.get(unit_url(unit))
    page = response.content.decode()
    assert response.status_code == 200
    assert "This block cannot be shown" not in page
    assert "Could not format HTML" not in page
    assert ("You are a visitor" in page) is not has_account
    for child in current_course().block(unit).children:
        assert f'data-usage="{child.usage_key}"' in page


def test_a_visit_without_a_learner_stores_nothing(client):
    for unit in UNITS:
        client.get(unit_url(unit))
    assert not StudentModule.objects.exists()


def test_a_block_has_the_page_of_its_unit(client):
    block, unit = example("problem", "q07-one-stability"), example("vertical", "twenty-questions")
    assert client.get(unit_url(block)).context["unit"] == client.get(unit_url(unit)).context["unit"]


def test_units_follow_each_other_in_the_courses_order(client):
    links = [client.get(unit_url(unit)).context for unit in UNITS]
    urls = [unit_url(unit) for unit in UNITS]
    assert [page["next"].url for page in links[:-1]] == urls[1:]
    assert [page["previous"].url for page in links[1:]] == urls[:-1]
    assert links[0]["previous"] is links[-1]["next"] is None


@pytest.mark.parametrize(
    "key", ["nonsense", "block-v1:Fieldstone+Memory+2026+type@problem+block@none", "chapter", "course"]
)
def test_what_is_no_unit_has_a_page_that_says_so(client, ada, key):
    ids = {"chapter": ("chapter", "how-we-forget"), "course": ("course", "2026")}
    client.force_login(ada)
    response = client.get(unit_url(example(*ids[key]) if key in ids else key))
    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode()
    assert 'href="/"' in response.content.decode()


def test_an_unknown_address_has_the_same_page(client):
    response = client.get("/no/such/page")
    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode()


@pytest.mark.parametrize(
    "problem",
    [
        "<course>",
        pytest.param(None, id="no folder"),
    ],
)
def test_a_course_that_cannot_be_read_is_an_error_page(client, settings, tmp_path, problem):
    """The page that says so must not need the course itself."""
    if problem:
        course_files(tmp_path / "course", {"course.xml": problem})
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": tmp_path / "course"}
    client.raise_request_exception = False
    response = client.get("/")
    assert response.status_code == 500
    assert "Something failed; the log says what." in response.content.decode()


def test_a_save_that_the_database_refuses_shows_the_error_page_and_leaves_nothing(client, ada):
    client.force_login(ada)
    client.raise_request_exception = False
    with RenamedTable(StudentModuleHistory):
        response = client.get(unit_url(example("vertical", "practice-numbers")))
    assert response.status_code == 500
    assert "Something failed; the log says what." in response.content.decode()
    assert not StudentModule.objects.exists()
    assert client.get(unit_url(example("vertical", "practice-numbers"))).status_code == 200


def test_a_course_with_blocks_that_cannot_be_loaded_says_which(client, ada, settings, tmp_path):
    body = '<chapter><sequential><vertical url_name="u">\n<no-such-block/><html>Read on</html></vertical>'
    course_files(tmp_path, {"course.xml": COURSE_XML.format(f"{body}</sequential></chapter>")})
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": tmp_path}
    assert "No installed package provides &lt;no-such-block&gt;" in client.get("/").content.decode()
    client.force_login(ada)
    page = client.get(unit_url(current_course().key.make_usage_key("vertical", "u"))).content.decode()
    assert "This block cannot be shown" in page
    assert "Read on" in page


# The cost of a page


@pytest.mark.django_db(transaction=True)
def test_a_page_of_twenty_answered_problems_costs_three_queries(client, ada):
    """The session, the learner, and the fields in the one scope that the blocks have."""
    unit = example("vertical", "twenty-questions")
    client.force_login(ada)
    client.get(unit_url(unit))  # the problems keep their seeds at the first view
    for problem in problems_of(unit):
        choice = "choice_1" if "choicegroup" in current_course().block(problem).authored["data"] else "1"
        assert send_answer(client, problem, choice).json()["success"] in {"correct", "incorrect"}
    with query_budget(3):
        response = client.get(unit_url(unit))
    assert response.content.decode().count('data-attempts-used="1"') == 20


@pytest.mark.django_db(transaction=True)
def test_the_first_view_of_twenty_problems_is_one_save(client, ada):
    """Session, learner, one scope; the keys looked up and made known; the save: state, history."""
    client.force_login(ada)
    client.get(unit_url(example("vertical", "practice-numbers")))  # the course's own key is known
    with query_budget(7), CaptureQueriesContext(connection) as queries:
        client.get(unit_url(example("vertical", "twenty-questions")))
    assert len([query for query in queries.captured_queries if query["sql"] == "COMMIT"]) == 1


@pytest.mark.django_db(transaction=True)
def test_the_outline_costs_one_query_beside_the_session(client, ada):
    send_as(client, ada, example("poll", "study-habit"), "vote", {"choice": "recall"})
    with query_budget(3):
        client.get("/")


# The panel of what is stored


def test_the_panel_shows_the_learners_fields_in_every_scope_and_their_history(client, ada):
    poll = example("poll", "study-habit")
    client.force_login(ada)
    assert "Nothing is stored yet." in client.get(state_url(poll)).content.decode()
    send(client, poll, "vote", {"choice": "recall"})
    panel = client.get(state_url(poll)).content.decode()
    assert "&quot;recall&quot;" in panel
    assert "user_state_summary" in panel
    assert "Revision 1" in panel
    assert "handler:vote" in panel


def test_the_panel_shows_what_a_problems_handler_was_called_for(client, ada):
    client.force_login(ada)
    question = example("problem", "q01-who-measured")
    send_answer(client, question, "choice_1")
    send_answer(client, question, "choice_2")
    panel = client.get(state_url(question)).content.decode()
    assert "Revision 2" in panel
    assert "handler:xmodule_handler/problem_check" in panel


def test_the_panel_escapes_what_learners_wrote(client, ada):
    """In the state, in a field of the summary, in the history and in the names of fields."""
    attack = "</pre><script>alert(1)</script>"
    client.force_login(ada)
    feedback = example("feedback", "what-you-take")
    send(client, feedback, "feedback", {"vote": 1, "freeform": attack})
    Store().save(ada, {feedback: {"<img src=x>": attack}}, origin="<b>origin</b>")
    panel = client.get(state_url(feedback)).content.decode()
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in panel
    assert "&lt;img src=x&gt;" in panel
    assert "&lt;b&gt;origin&lt;/b&gt;" in panel
    for tag in ("<script", "<img", "<b>"):
        assert tag not in panel


def test_the_panel_shows_deleted_fields_as_such(client, ada):
    done = example("done", "plan-made")
    Store().save(ada, {done: {"done": True}})
    Store().save(ada, {done: {"done": DELETED}})
    client.force_login(ada)
    panel = client.get(state_url(done)).content.decode()
    assert "No field is set." in panel
    assert "deleted</em>" in panel


def test_the_panel_is_of_its_own_learner(client, ada, bob):
    feedback = example("feedback", "what-you-take")
    send_as(client, bob, feedback, "feedback", {"vote": 1, "freeform": "of bob alone"})
    assert "of bob alone" in client.get(state_url(feedback)).content.decode()
    client.force_login(ada)
    assert "of bob alone" not in client.get(state_url(feedback)).content.decode()


def test_the_panel_needs_a_block(client, ada):
    client.force_login(ada)
    assert client.get(state_url("nonsense")).status_code == 404


def test_the_panel_shows_a_visitor_what_is_kept_of_them(client):
    feedback = example("feedback", "what-you-take")
    client.get(unit_url(example("vertical", "your-plan")))
    send(client, feedback, "feedback", {"vote": 1, "freeform": "of a visitor"})
    assert "of a visitor" in client.get(state_url(feedback)).content.decode()
    assert "of a visitor" not in Client().get(state_url(feedback)).content.decode()


# Files


def test_files_of_the_course_and_of_packages_are_served(client):
    picture = client.get("/xblock/asset/forgetting-curve.svg")
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/svg+xml")
    assert b"<svg" in file_of(picture)
    mark = client.get("/xblock/resource/done/public/check-full.png")
    assert (mark.status_code, mark["Content-Type"]) == (200, "image/png")
    assert file_of(mark).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "path",
    [
        "asset/no-such-file.svg",
        "asset/../course.xml",
        "asset/%2e%2e/course.xml",
        "asset/..%2f..%2fproject/settings.py",
        "asset//etc/passwd",
        "asset/%2fetc%2fpasswd",
        "asset/%00",
        "asset/.",
        "resource/done/public/no-such-file.png",
        "resource/done/public/../done.py",
        "resource/done/public/%2e%2e/done.py",
        "resource/done/done.py",
        pytest.param(
            "resource/done/public/%00",
        ),
        "resource/done//etc/passwd",
        "resource/no-such-block/public/x.png",
        "resource/vertical/public/x.png",
        "resource/vertical/runtime.py",
    ],
)
def test_no_other_file_is_served(client, path):
    assert client.get(f"/xblock/{path}").status_code == 404


def test_a_link_out_of_the_static_folder_is_not_followed(client, settings, tmp_path):
    """An uploaded course may hold one."""
    course_files(tmp_path / "course", {"course.xml": COURSE_XML.format("<chapter/>"), "static/a.txt": "A"})
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "course" / "static" / "link.txt").symlink_to(tmp_path / "secret.txt")
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": tmp_path / "course"}
    assert file_of(client.get("/xblock/asset/a.txt")) == b"A"
    response = client.get("/xblock/asset/link.txt")
    response.close()
    assert response.status_code == 404


# Handlers

AUTHORED = {
    **dict.fromkeys(("display_name", "voting_message", "feedback_message", "likert0"), "Taken over"),
    "show_aggregate_to_students": False,
}


def test_a_handlers_answer_is_stored_and_shown_again(client, ada):
    client.force_login(ada)
    question = example("problem", "q01-who-measured")
    assert json.loads(send_answer(client, question, "choice_1").content)["success"] == "correct"
    page = client.get(unit_url(question)).content.decode()
    assert page.count('data-attempts-used="1"') == 1


@pytest.mark.parametrize(
    ("block", "name", "body", "status", "words"),
    [
        ("poll/no-such-poll", "vote", {}, 404, "The course has no block"),
        ("nonsense", "vote", {}, 404, "The course has no block nonsense"),
        ("poll/study-habit", "no_such_handler", {}, 404, "has no handler 'no_such_handler'"),
        ("poll/study-habit", "vote", "{", 400, "Invalid JSON"),
        ("poll/study-habit", "vote", [], 400, "could not use what was sent"),
        ("feedback/what-you-take", "studio_submit", AUTHORED, 403, "content cannot be changed"),
    ],
)
def test_what_a_handler_cannot_do_is_said_in_json(client, ada, block, name, body, status, words):
    client.force_login(ada)
    key = example(*block.split("/")) if "/" in block else block
    response = send(client, key, name, body)
    assert response.status_code == status
    assert words in response.json()["error"]
    assert not StudentModule.objects.exists()


# Methods


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET"),
        ("/unit/x/", "GET"),
        ("/xblock/x/state/", "GET"),
        ("/xblock/resource/done/public/check-full.png", "GET"),
        ("/xblock/asset/spacing.svg", "GET"),
        ("/learners/", "GET"),
        ("/learners/create/", "POST"),
        ("/learners/switch/", "POST"),
    ],
)
def test_a_page_takes_one_method(client, path, allowed):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if method != allowed:
            response = client.generic(method, path)
            assert (response.status_code, response["Allow"]) == (405, allowed), method


@pytest.mark.parametrize("pool", ["library_content", "itembank", "randomize"])
def test_a_pool_that_is_a_unit_shows_what_its_learner_was_given(client, ada, tmp_path, settings, pool):
    blocks = "".join(f'<html url_name="h{number}">Text {number}.</html>' for number in range(6))
    unit = f'<chapter><sequential><{pool} url_name="p">{blocks}</{pool}></sequential></chapter>'
    files = course_files(tmp_path, {"course.xml": COURSE_XML.format(unit)})
    settings.FIELDSTONE = {**settings.FIELDSTONE, "COURSE": files}
    client.force_login(ada)
    (unit,) = units_of(current_course())
    assert len(re.findall(r"Text \d\.", client.get(unit_url(unit.usage_key)).content.decode())) == 1
