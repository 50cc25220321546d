"""What blocks get from the runtime, and what becomes of what they do; the blocks are published ones but for
``tests.runtime.blocks``, which misbehave on purpose."""

from __future__ import annotations

import json
import logging

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from lxml import html
from xblock.exceptions import InvalidScopeError, NoSuchViewError
from xblock.fields import Scope

from fieldstone.errors import NoSuchBlockError
from fieldstone.runtime.handlers import handle
from fieldstone.runtime.resources import DisallowedFileError, open_resource
from fieldstone.runtime.structure import BlockUnavailableError
from fieldstone.store.models import (
    StudentModule,
    StudentModuleHistory,
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from fieldstone.store.places import Preferences, Summary, UserInfo
from fieldstone.store.store import Store
from fieldstone.testing import commit_callbacks, query_budget
from fieldstone.workbench.courses import current_course
from tests.runtime.courses import (
    RenamedTable,
    call,
    check_problem,
    course_files,
    example,
    key_in,
    runtime,
    unit_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

ALL_SCOPES = (StudentModule, XModuleUserStateSummaryField, XModuleStudentPrefsField, XModuleStudentInfoField)


def stored(user, *places):
    """What the store has of a user at these places; a missing state is ``None``."""
    states = Store().read(user, places)
    return [dict(states[place].fields) if place in states else None for place in places]


def nothing_is_stored():
    return not any(model.objects.exists() for model in (*ALL_SCOPES, StudentModuleHistory))


def error_of(response):
    return json.loads(response.content)["error"]


def view(course, user, block_type, block_id):
    return runtime(course, user).get_block(key_in(course, block_type, block_id)).render("student_view")


@pytest.fixture
def question():
    return example("problem", "q01-who-measured")


@pytest.fixture
def poll():
    return example("poll", "study-habit")


# Getting blocks


def test_a_block_has_its_authors_fields_and_the_learners_defaults(ada, question):
    block = runtime(current_course(), ada).get_block(question)
    assert (block.display_name, block.max_attempts, block.attempts) == ("1. Who measured it?", 2, 0)
    assert block.scope_ids.user_id == ada.pk


def test_a_block_that_is_not_in_the_course_is_an_error(ada):
    with pytest.raises(NoSuchBlockError):
        runtime(current_course(), ada).get_block(example("problem", "no-such-problem"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("met", [True, False], ids=["keys met", "keys never met"])
def test_a_prefetch_of_twenty_problems_is_one_query_and_the_blocks_cost_none(ada, met):
    """They have learner fields in one scope; blocks of the unit come from the prefetch after it."""
    course, unit = current_course(), example("vertical", "twenty-questions")
    problems = [block.usage_key for block in course.block(unit).descendants() if block.block_type == "problem"]
    if met:
        Store().save(ada, {problem: {"attempts": 1} for problem in problems})
    page = runtime(course, ada)
    with query_budget(1, exact=True):
        page.prefetch(unit)
    with query_budget(0):
        attempts = [page.get_block(problem).attempts for problem in problems]
    assert attempts == [int(met)] * 20


def test_a_prefetch_costs_at_most_one_query_a_scope(ada, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-counter/><test-counter/><test-fails-in-view/><poll answers="[]"/>')
    with query_budget(4, exact=True):
        runtime(course, ada).prefetch(key_in(course, "vertical", "unit"))


def test_blocks_do_not_find_open_edxs_runtime():
    """With a ``course_id`` on it, published blocks import the platform."""
    assert not hasattr(runtime(current_course(), AnonymousUser()), "course_id")


def test_nobody_is_staff_to_blocks_that_ask_their_host(ada, question):
    ada.is_staff = True
    block = runtime(current_course(), ada).get_block(question)
    assert block.xmodule_runtime.user_is_staff is False
    assert block.runtime.user_is_staff is False


# Handlers, and what they store


def test_an_answer_to_a_problem_is_stored_for_its_learner_alone(ada, bob, question):
    response = check_problem(current_course(), ada, question, "choice_1")
    assert json.loads(response.content)["success"] == "correct"
    (of_ada,), (of_bob,) = stored(ada, question), stored(bob, question)
    assert of_ada["attempts"] == 1
    assert of_ada["student_answers"] == {"q01-who-measured_2_1": "choice_1"}
    assert of_bob is None
    assert runtime(current_course(), bob).get_block(question).attempts == 0
    assert Store().history(ada, question)[0].origin == "test"


def test_the_next_request_shows_the_answer_to_its_learner_alone(ada, bob, question):
    check_problem(current_course(), ada, question, "choice_1")
    of_ada = view(current_course(), ada, "problem", "q01-who-measured").content
    of_bob = view(current_course(), bob, "problem", "q01-who-measured").content
    assert "checked" in of_ada
    assert "checked" not in of_bob
    assert "You have used 1 of 2 attempts" in of_ada
    assert "You have used 0 of 2 attempts" in of_bob


def test_a_problem_counts_its_attempts_and_then_is_closed(ada, question):
    answers = [check_problem(current_course(), ada, question, choice) for choice in ("choice_0", "choice_1")]
    assert [json.loads(answer.content)["success"] for answer in answers] == ["incorrect", "correct"]
    third = json.loads(check_problem(current_course(), ada, question, "choice_1").content)
    assert third["success"].startswith("The state of this problem has changed"), third
    (state,) = stored(ada, question)
    assert (state["attempts"], state["score"]) == (2, {"raw_earned": 1, "raw_possible": 1})


@pytest.mark.django_db(transaction=True)
def test_a_vote_writes_both_its_scopes_in_one_transaction(ada, poll):
    with CaptureQueriesContext(connection) as queries:
        response = call(current_course(), ada, poll, "vote", {"choice": "recall"})
    assert json.loads(response.content)["success"] is True
    (state, summary) = stored(ada, poll, Summary(poll))
    assert (state["choice"], state["submissions_count"]) == ("recall", 1)
    assert summary["tally"]["recall"] == 1
    texts = [query["sql"] for query in queries.captured_queries]
    begin, end = texts.index("BEGIN IMMEDIATE"), texts.index("COMMIT")
    written = [
        next(n for n, text in enumerate(texts) if f"INSERT INTO {model._meta.db_table} " in text)
        for model in (StudentModule, XModuleUserStateSummaryField)
    ]
    assert begin < min(written) <= max(written) < end
    assert texts.count("COMMIT") == 1


def test_the_next_voter_sees_the_votes_before(ada, bob, poll):
    call(current_course(), ada, poll, "vote", {"choice": "recall"})
    call(current_course(), bob, poll, "vote", {"choice": "reread"})
    (tally,) = [summary["tally"] for summary in stored(ada, Summary(poll))]
    assert (tally["recall"], tally["reread"]) == (1, 1)
    again = json.loads(call(current_course(), ada, poll, "vote", {"choice": "mark"}).content)
    assert again == {"success": False, "errors": ["You have already voted in this poll."]}


def test_each_scope_is_kept_where_it_belongs(ada, bob, tmp_path, odd_blocks):
    """State by learner and block, the summary by block, preferences by learner and type, user info by learner."""
    course = unit_of(tmp_path, '<test-counter url_name="a"/><test-counter url_name="b"/>')
    a, b = (key_in(course, "test-counter", name) for name in "ab")
    for user, block in ((ada, a), (ada, b), (bob, a)):
        call(course, user, block, "count", {})
    counted = {
        (user.username, block.block_id): json.loads(call(course, user, block, "count", {}).content)
        for user in (ada, bob)
        for block in (a, b)
    }
    assert counted["ada", "a"] == {"seen": 2, "votes": 3, "liked": 3, "known": 3}
    assert counted["ada", "b"] == {"seen": 2, "votes": 2, "liked": 4, "known": 4}
    assert counted["bob", "a"] == {"seen": 2, "votes": 4, "liked": 2, "known": 2}
    assert counted["bob", "b"] == {"seen": 1, "votes": 3, "liked": 3, "known": 3}
    assert stored(ada, Preferences("test-counter"), UserInfo()) == [{"liked": 4}, {"known": 4}]


# What a handler's errors mean


@pytest.mark.parametrize("name", ["no_such_handler", "student_view", "save", "__init__", "runtime", ""])
def test_what_is_no_handler_is_not_found(ada, poll, name):
    """Methods and attributes of the block are none."""
    response = call(current_course(), ada, poll, name, {})
    assert response.status_code == 404
    assert repr(name) in error_of(response)


@pytest.mark.parametrize("body", ["", "{", "{'choice': 'recall'}", b"\xff\xfe", "[1] 2"])
def test_a_body_that_is_not_json_is_a_bad_request(ada, poll, body):
    response = call(current_course(), ada, poll, "vote", body)
    assert response.status_code == 400
    assert error_of(response) == "Invalid JSON"
    assert nothing_is_stored()


@pytest.mark.parametrize("body", [[], 1, None, {"choice": ["recall"]}, {"choice": {}}])
def test_json_that_the_block_cannot_use_is_a_bad_request(ada, poll, body, caplog):
    response = call(current_course(), ada, poll, "vote", body)
    assert response.status_code == 400
    assert "could not use what was sent" in error_of(response)
    assert nothing_is_stored()
    assert "could not use the body sent to vote" in caplog.text


def test_a_get_of_a_json_handler_is_not_allowed(ada, poll):
    response = call(current_course(), ada, poll, "vote", "", REQUEST_METHOD="GET")
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_a_handler_that_writes_authored_fields_is_forbidden_and_changes_nothing(ada, bob):
    course, feedback = current_course(), example("feedback", "what-you-take")
    before = json.dumps(course.block(feedback).authored, default=str)
    names = ("display_name", "voting_message", "feedback_message", "freeform", "likert0")
    body = {**dict.fromkeys(names, "Taken over"), "show_aggregate_to_students": False}
    response = call(course, ada, feedback, "studio_submit", body)
    assert response.status_code == 403
    assert error_of(response) == "The course's content cannot be changed here."
    assert json.dumps(course.block(feedback).authored, default=str) == before
    assert runtime(course, bob).get_block(feedback).display_name == "What you take with you"
    assert nothing_is_stored()


@pytest.mark.parametrize("refused", [XModuleUserStateSummaryField, StudentModuleHistory])
def test_a_save_that_the_database_refuses_saves_nothing_and_says_so(ada, poll, refused, caplog):
    """Neither the learner's choice without the tally, nor a state without its history."""
    course, done = current_course(), example("done", "plan-made")
    usage_key, name, body = (
        (done, "toggle_button", {"done": True})
        if refused is StudentModuleHistory
        else (poll, "vote", {"choice": "recall"})
    )
    page = runtime(course, ada)
    page.prefetch(usage_key)  # the request's reads are done before the table goes
    with RenamedTable(refused):
        response = handle_in(lambda: page, usage_key, name, body)
    assert response.status_code == 503
    assert error_of(response) == "Your answer was not saved. Please try again."
    assert nothing_is_stored()
    assert "nothing was saved by" in caplog.text
    assert call(course, ada, usage_key, name, body).status_code == 200


def handle_in(make_page, usage_key, name, body):
    request = RequestFactory().post("/", json.dumps(body), content_type="application/json")
    return handle(make_page, usage_key, name, "", request)


def test_a_value_that_cannot_be_stored_is_refused_with_the_whole_save(ada, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-counter url_name="a"/>')
    response = call(course, ada, key_in(course, "test-counter", "a"), "unstorable", {})
    assert response.status_code == 503
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [("shape", 400, "KeyError"), ("missing", 404, "has nothing at 'a/suffix'"), ("refused", 200, "so it is")],
)
def test_a_handler_that_raises_stores_nothing_of_what_it_did(ada, tmp_path, odd_blocks, error, status, words):
    course = unit_of(tmp_path, '<test-counter url_name="a"/>')
    response = call(course, ada, key_in(course, "test-counter", "a"), "count_and_fail", [error], "a/suffix")
    assert response.status_code == status
    assert words in response.content.decode()
    assert nothing_is_stored()


def test_an_error_that_is_not_the_callers_comes_through(ada, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-counter url_name="a"/>')
    with pytest.raises(OSError, match="so it is"):
        call(course, ada, key_in(course, "test-counter", "a"), "count_and_fail", ["crash"])
    assert nothing_is_stored()


@pytest.mark.parametrize("tag", ["no-such-block", "test-unparsable", "test-not-importable"])
def test_a_handler_of_a_block_that_could_not_be_loaded_is_not_found(ada, tmp_path, odd_blocks, tag):
    course = unit_of(tmp_path, f'<{tag} url_name="x"/>')
    response = call(course, ada, key_in(course, tag, "x"), "vote", {})
    assert response.status_code == 404
    assert error_of(response) == course.block(key_in(course, tag, "x")).unavailable


# What the author wrote is read-only


def test_no_authored_field_can_be_saved(ada, question):
    block = runtime(current_course(), ada).get_block(question)
    block.display_name = "Another"
    with pytest.raises(InvalidScopeError):
        block.save()


def test_what_a_block_does_to_an_authored_list_is_gone_with_the_request(ada, bob, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-scribbler url_name="s" items="[1, 2]" rules="{}"/>')
    key = key_in(course, "test-scribbler", "s")
    assert call(course, ada, key, "scribble", {}).status_code == 403
    assert view(course, ada, "test-scribbler", "s").content.count("block-error-title") == 1
    for user in (ada, bob):
        assert json.loads(call(course, user, key, "look", {}).content) == {"items": [1, 2], "rules": {}}


# Rendering


def test_a_block_that_fails_leaves_the_rest_of_its_page(ada, tmp_path, odd_blocks):
    course = unit_of(
        tmp_path,
        '<html>before</html><test-fails-in-view url_name="x"/><no-such-block/><test-counter/><html>after</html>',
    )
    page = runtime(course, ada)
    with page.field_data_cache.saving_at_the_end():
        content = page.get_block(key_in(course, "vertical", "unit")).render("student_view").content
    assert "before" in content
    assert "after" in content
    assert content.count("This block cannot be shown") == 2
    assert str(key_in(course, "test-fails-in-view", "x")) in content
    assert "No installed package provides &lt;no-such-block&gt;" in content
    assert "a block&#x27;s own error" not in content, "details are for DEBUG"
    assert "seen 1" in content
    assert [state.usage.block_type for state in StudentModule.objects.select_related("usage")] == ["test-counter"]


def test_a_view_that_only_parents_ask_for_is_missed_by_its_parent(ada, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-counter url_name="c"/>')
    block = runtime(course, ada).get_block(key_in(course, "test-counter", "c"))
    with pytest.raises(NoSuchViewError):
        block.render("mentoring_view")
    assert "This block cannot be shown" in block.render("studio_view").content


def test_blocks_that_cannot_be_loaded_leave_no_classes_behind(ada, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<no-such-block url_name="n"/>')
    key = key_in(course, "no-such-block", "n")
    assert type(runtime(course, ada).get_block(key)) is type(runtime(course, ada).get_block(key))


def test_the_card_has_the_traceback_with_debug(ada, tmp_path, odd_blocks, settings):
    settings.DEBUG = True
    content = view(unit_of(tmp_path, '<test-fails-in-view url_name="x"/>'), ada, "test-fails-in-view", "x").content
    assert "ZeroDivisionError: a block&#x27;s own error" in content


@pytest.mark.django_db(transaction=True)
def test_a_page_of_blocks_that_write_is_one_save(ada):
    """Each of the twenty problems keeps a seed at its first view."""
    unit = example("vertical", "twenty-questions")
    page = runtime(current_course(), ada)
    page.prefetch(unit)
    with CaptureQueriesContext(connection) as queries, page.field_data_cache.saving_at_the_end():
        page.get_block(unit).render("student_view")
    texts = [query["sql"] for query in queries.captured_queries]
    writes = [text for text in texts if f"INSERT INTO {StudentModule._meta.db_table} " in text]
    assert len(writes) == 1, texts
    assert len(texts) <= 8, texts
    assert StudentModule.objects.count() == StudentModuleHistory.objects.count() == 20


def test_what_authors_and_learners_wrote_stays_within_its_element(ada, tmp_path, odd_blocks):
    said = "</script><script>alert(1)</script><!--"
    attributes = {"said": said, "name": "\"'><img src=x onerror=alert(1)>"}
    text = html.etree.tostring(html.etree.Element("test-tagged", url_name="x", **attributes)).decode()
    wrapped = view(unit_of(tmp_path, text), ada, "test-tagged", "x").content
    root = html.fragment_fromstring(wrapped)
    (script,) = root.iter("script")
    assert script.get("type") == "json/xblock-args"
    assert json.loads(script.text) == {"said": said}
    assert root.get("data-name") == attributes["name"]
    assert list(root.iter("img")) == []
    assert [child.tag for child in root] == ["p", "script"]
    assert "</script><script>" not in wrapped


def test_the_element_says_what_the_page_needs_to_start_the_block(ada, poll):
    root = html.fragment_fromstring(view(current_course(), ada, "poll", "study-habit").content)
    assert {"xblock", "xblock-student_view", "xblock-student_view-poll"} <= set(root.classes)
    assert root.get("data-usage") == root.get("data-usage-id") == str(poll)
    assert root.get("data-block-type") == "poll"
    assert root.get("data-handler-url") == f"/xblock/{poll}/handler/"
    assert root.get("data-init") == "PollBlock"
    assert root.get("data-runtime-version") == "1"


# URLs and files


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("vote",), "/vote"),
        (("xmodule_handler", "problem_check"), "/xmodule_handler/problem_check"),
        (("vote", "", "a=1&b=2"), "/vote?a=1&b=2"),
        (("vote", "a b?c", ""), "/vote/a%20b%3Fc"),
    ],
)
def test_a_handlers_url_has_the_query_it_was_given_and_no_other(poll, arguments, url):
    """Published blocks put their own ``/suffix`` after it."""
    page = runtime(current_course(), AnonymousUser())
    block = page.get_block(poll)
    assert page.handler_url(block, *arguments) == f"/xblock/{poll}/handler{url}"


def test_a_file_of_a_blocks_package_is_opened_by_its_url(ada):
    page = runtime(current_course(), ada)
    block = page.get_block(example("done", "plan-made"))
    assert page.local_resource_url(block, "public/check-full.png") == "/xblock/resource/done/public/check-full.png"
    with open_resource("done", "public/check-full.png") as opened:
        assert opened.read(4) == b"\x89PNG"


@pytest.mark.parametrize(
    ("block_type", "uri", "error"),
    [
        ("done", "public/no-such-file.png", FileNotFoundError),
        ("done", "public", DisallowedFileError),
        ("done", "public/", FileNotFoundError),
        ("done", "done.py", DisallowedFileError),
        ("done", "static/css/done.css", DisallowedFileError),
        ("done", "../done/done.py", DisallowedFileError),
        ("done", "public/../done.py", DisallowedFileError),
        ("done", "public/../../../../../etc/passwd", DisallowedFileError),
        ("done", "done/public/../done.py", DisallowedFileError),
        ("done", "/etc/passwd", DisallowedFileError),
        ("done", "public//etc/passwd", FileNotFoundError),
        ("vertical", "public/x.css", FileNotFoundError),
        ("no-such-block", "public/x.css", BlockUnavailableError),
    ],
)
def test_a_file_that_a_package_does_not_publish_is_refused(block_type, uri, error):
    with pytest.raises(error):
        open_resource(block_type, uri).close()


def test_style_sheets_of_packages_load_nothing_from_other_hosts():
    with open_resource("problem", "public/css/ProblemBlockDisplay.css") as opened:
        css = opened.read().decode()
    assert ".problem" in css
    assert "@import" not in css


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ('<img src="/static/a b.png">', '<img src="/xblock/asset/a%20b.png">'),
        ("<img src='/static/in/b.png'>", "<img src='/xblock/asset/in/b.png'>"),
        ("url(/static/in/b.png)", "url(/xblock/asset/in/b.png)"),
        ("&quot;/static/in/b.png&quot;", "&quot;/xblock/asset/in/b.png&quot;"),
        (r"{\"a\": \"/static/in/b.png\"}", r"{\"a\": \"/xblock/asset/in/b.png\"}"),
        ('<img src="/static/not-there.png">', '<img src="/static/not-there.png">'),
        pytest.param(
            '<img src="/static/../course.xml">',
            '<img src="/static/../course.xml">',
        ),
        ('<a href="/jump_to_id/p">', '<a href="/unit/{unit}/">'),
        ('<a href="/jump_to_id/p#part">', '<a href="/unit/{unit}/#part">'),
        ('<a href="/jump_to_id/nowhere">', '<a href="/jump_to_id/nowhere">'),
        ("look at /static/in/b.png", "look at /static/in/b.png"),
    ],
)
def test_course_addresses_become_real_ones_where_the_course_has_the_thing(ada, tmp_path, text, rewritten):
    course_files(tmp_path, {"static/a b.png": "", "static/in/b.png": ""})
    course = unit_of(tmp_path, "<problem url_name='p'><p>A</p></problem>")
    page = runtime(course, ada)
    service = page.service(page.get_block(key_in(course, "problem", "p")), "replace_urls")
    expected = rewritten.replace("{unit}", str(key_in(course, "vertical", "unit")))
    assert service.replace_urls(text) == expected


def test_the_html_of_a_view_has_its_addresses_rewritten(ada, tmp_path):
    course_files(tmp_path, {"static/curve.svg": ""})
    course = unit_of(tmp_path, '<html url_name="h"><img src="/static/curve.svg"/></html>')
    assert '<img src="/xblock/asset/curve.svg"' in view(course, ada, "html", "h").content


# Events


def test_events_are_logged_without_what_the_learner_wrote(ada, caplog):
    caplog.set_level(logging.INFO, "fieldstone.events")
    feedback = example("feedback", "what-you-take")
    with commit_callbacks():
        call(current_course(), ada, feedback, "feedback", {"vote": 1, "freeform": "my secret"})
    events = [record.getMessage() for record in caplog.records if record.name == "fieldstone.events"]
    assert any(f"{feedback} by learner {ada.pk}" in event for event in events)
    assert not any("my secret" in event for event in events)


def test_the_structure_has_no_learner_fields(ada):
    block = runtime(current_course(), ada).get_block(example("vertical", "welcome"))
    assert {field.scope for field in block.fields.values()} <= {Scope.settings, Scope.content, Scope.parent} | {
        Scope.children
    }
