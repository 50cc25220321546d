"""Handlers: what reaches them, what comes back, and what overlapping calls leave behind."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import RequestFactory
from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlockAside
from xblock.plugin import PLUGIN_CACHE

from fieldstone.errors import ReadOnlyError
from fieldstone.runtime.events import block_published
from fieldstone.runtime.handlers import NotAResponseError, handle
from fieldstone.runtime.handlers import key_in as key_in_url
from fieldstone.runtime.services.anonymous import user_id_of
from fieldstone.runtime.wiring import Mode, Viewer
from fieldstone.runtime.wiring.viewers import ANONYMOUS
from fieldstone.store import Store, Summary
from fieldstone.testing import commit_callbacks, query_budget
from fieldstone.workbench.courses import current_course
from fieldstone.workbench.pages import runtime_for
from fieldstone.xblock.declared import aside_key
from tests.runtime.blocks import Answers, Beside
from tests.runtime.courses import call, check_problem, example, key_in, runtime, unit_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]

FORM = {"content_type": "application/x-www-form-urlencoded"}


@pytest.fixture
def course(tmp_path, odd_blocks):
    return unit_of(tmp_path, '<test-answers url_name="a"/><test-counter url_name="c"/>')


@pytest.fixture
def answers(course):
    return key_in(course, "test-answers", "a")


def ask(course, user, usage_key, name, suffix="", request=None):
    request = request or RequestFactory().post("/", b"", content_type="text/plain")
    return handle(partial(runtime, course, user), usage_key, name, suffix, request)


# What goes in and comes out


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch", "options"])
def test_method_suffix_and_query_reach_the_block_as_they_are(ada, course, answers, method):
    request = getattr(RequestFactory(), method)("/x?a=1&a=%C3%A9&b")
    response = ask(course, ada, answers, "echo", "some/suffix é", request)
    assert json.loads(response.content) == {
        "method": method.upper(),
        "suffix": "some/suffix é",
        "query": "a=1&a=%C3%A9&b",
    }


@pytest.mark.parametrize("status", [200, 201, 302, 400, 403, 404, 418, 500, 503])
def test_the_blocks_status_and_headers_are_the_responses(ada, course, answers, status):
    response = ask(course, ada, answers, "status", str(status))
    assert (response.status_code, response.content, response["X-Block"]) == (status, b"so it is", "yes")


def test_a_body_that_comes_bit_by_bit_is_streamed(ada, course, answers):
    response = ask(course, ada, answers, "stream", "1000")
    assert response.streaming
    assert b"".join(response.streaming_content) == b"".join(b"%d;" % number for number in range(1000))


def test_a_file_is_uploaded(ada, course, answers):
    file = SimpleUploadedFile("é.bin", bytes(3_000_000))  # beyond what Django keeps in memory
    request = RequestFactory().post("/", {"file": file})
    response = ask(course, ada, answers, "upload", "", request)
    request.close()
    assert json.loads(response.content) == {"é.bin": 3_000_000}


@pytest.mark.parametrize("multipart", [True, False], ids=["file", "body"])
def test_what_is_too_long_is_refused_before_the_block_runs(ada, course, answers, settings, multipart):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "MAX_UPLOAD_BYTES": 1000}
    body = {"file": SimpleUploadedFile("a.bin", bytes(1001))}
    request = RequestFactory().post("/", body) if multipart else RequestFactory().post("/", bytes(1001), **FORM)
    response = ask(course, ada, answers, "upload", "", request)
    assert response.status_code == 413
    assert "1,000 bytes" in json.loads(response.content)["error"]
    assert not Store().read(ada, [answers])


def test_djangos_own_limit_of_a_body_is_said_so_too(ada, course, answers, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    request = RequestFactory().post("/", b"a" * 11, content_type="text/plain")
    assert ask(course, ada, answers, "report", "", request).status_code == 413


def test_a_service_that_nobody_provides_is_named(ada, course, answers):
    response = call(course, ada, answers, "ask", {})
    assert response.status_code == 501
    assert "'no-such-service'" in json.loads(response.content)["error"]


# Whose it is


def test_a_handler_for_nobody_reads_no_learners_field(course, answers):
    with query_budget(0):
        response = handle(
            lambda: runtime_for(course, Viewer(None), ""), answers, "keep", "x", RequestFactory().post("/")
        )
    assert response.status_code == 403


def test_others_may_call_a_handler_and_keep_nothing(course, answers):
    """A third party's call has no session: the block sees the fields' defaults, and may not pretend to save."""
    make_runtime = partial(runtime_for, course, Viewer(ANONYMOUS), "")
    request = RequestFactory().post("/", b"a report", content_type="text/plain")
    response = handle(make_runtime, answers, "report", "", request)
    assert json.loads(response.content) == {"user": None, "taken": {}, "said": "a report"}
    assert handle(make_runtime, answers, "keep", "x", RequestFactory().post("/")).status_code == 403


def test_an_id_that_was_given_out_in_a_preview_leads_to_nobody(ada, course):
    preview, page = (runtime_for(course, Viewer(ada, mode=mode), "") for mode in (Mode.PREVIEW, Mode.PERSISTED))
    assert preview.anonymous_student_id != page.anonymous_student_id
    key = str(course.key)
    assert (user_id_of(preview.anonymous_student_id, key), user_id_of(page.anonymous_student_id, key)) == (
        None,
        ada.pk,
    )


def test_a_preview_touches_nothing_that_is_stored(ada, course, answers):
    preview = partial(runtime_for, course, Viewer(ada, mode=Mode.PREVIEW), "")
    Store().save(ada, {answers: {"taken": {"real": 1}}})
    assert handle(preview, answers, "keep", "preview", RequestFactory().post("/")).status_code == 200
    assert preview().get_block(answers).taken == {"kept": "preview"}
    assert runtime(course, ada).get_block(answers).taken == {"real": 1}


def test_what_an_author_edits_is_a_draft_of_their_own(ada, bob, tmp_path, odd_blocks):
    course = unit_of(tmp_path, '<test-scribbler url_name="s"/>')
    scribbler = key_in(course, "test-scribbler", "s")
    adas, bobs = (partial(runtime_for, course, Viewer(user, mode=Mode.PREVIEW), "") for user in (ada, bob))
    assert json.loads(handle(adas, scribbler, "scribble", "", posted("{}")).content) == {"items": ["scribble"]}
    assert adas().get_block(scribbler).items == ["scribble"]
    assert bobs().get_block(scribbler).items == runtime(course, ada).get_block(scribbler).items == []


# Asides


@pytest.fixture
def aside_type(monkeypatch, settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "ASIDES": ["test-beside"]}
    key = (XBlockAside.entry_point, "test-beside")
    monkeypatch.setitem(PLUGIN_CACHE, key, Beside)
    return "test-beside"


def test_an_asides_handler_is_called_by_its_key(ada, bob, course, answers, aside_type):
    key = aside_key(answers, aside_type)
    assert key_in_url(course, str(key)) == key
    for expected in (1, 2):
        assert json.loads(call(course, ada, key, "count", {}).content) == {"beside": expected}
    assert json.loads(call(course, bob, key, "count", {}).content) == {"beside": 1}


def test_an_aside_gives_a_grade_of_its_own(ada, course, answers, aside_type):
    key = aside_key(answers, aside_type)
    assert call(course, ada, key, "rate", {}).status_code == 200
    assert Store().read(ada, [key])[key].grade == 1.0
    page = runtime(course, ada)
    counter = page.get_block(key_in(course, "test-counter", "c"))
    assert "beside: 0" in counter.render("student_view").content
    call(course, ada, aside_key(counter.scope_ids.usage_id, aside_type), "count", {})
    counter = runtime(course, ada).get_block(counter.scope_ids.usage_id)
    assert "beside: 1" in counter.render("student_view").content


def test_an_aside_that_the_site_does_not_use_is_not_found(ada, course, answers):
    assert call(course, ada, aside_key(answers, "test-beside"), "count", {}).status_code == 404


def test_asides_are_fetched_with_their_blocks(ada, course, aside_type):
    page = runtime(course, ada)
    with query_budget(4):  # one a scope: the counter has fields in all four
        page.prefetch(course.root.usage_key)
    with query_budget(0):
        block = page.get_block(key_in(course, "test-counter", "c"))
        assert [aside.beside for aside in page.get_asides(block)] == [0]


def test_an_aside_that_fails_takes_nothing_else_with_it(ada, tmp_path, odd_blocks, aside_type):
    course = unit_of(tmp_path, '<test-tagged url_name="t"/>')
    block = runtime(course, ada).get_block(key_in(course, "test-tagged", "t"))
    shown = block.render("student_view").content
    assert "<p>tagged</p>" in shown
    assert "This block cannot be shown" in shown
    assert "beside:" not in shown


# Overlapping calls


def test_a_handler_whose_reading_is_out_of_date_runs_again(ada, course):
    """Two answers at once are both counted, in each of the four scopes."""
    counter = key_in(course, "test-counter", "c")
    call(course, ada, counter, "count", {})
    first, second = [runtime(course, ada)], [runtime(course, ada)]
    for pages in (first, second):
        pages[0].get_block(counter)  # both have read what was there before either saves
    answers = [
        json.loads(handle(partial(next_of, pages, course, ada), counter, "count", "", posted("{}")).content)
        for pages in (first, second)
    ]
    assert answers == [dict.fromkeys(("seen", "votes", "liked", "known"), number) for number in (2, 3)]


def next_of(pages, course, user):
    """The runtime that was made before, and then new ones."""
    return pages.pop() if pages else runtime(course, user)


def posted(text):
    return RequestFactory().post("/", text, content_type="application/json")


def test_what_a_forestalled_run_published_is_not_sent(ada, course, answers):
    heard, stale = [], [runtime(course, ada)]
    stale[0].get_block(answers)
    Store().save(ada, {answers: {"taken": {"meanwhile": 1}}})
    Answers.runs.clear()

    def hear(sender, **event):
        heard.append(event["event"])

    with heard_by(hear), commit_callbacks():
        handle(partial(next_of, stale, course, ada), answers, "tell", "x", posted('{"n": 1}'))
    assert (Answers.runs, heard) == (["x", "x"], [{"n": 1}])
    assert Store().read(ada, [answers])[answers].fields["taken"] == {"meanwhile": 1, "told": 1}


@contextmanager
def heard_by(listener):
    block_published.connect(listener)
    try:
        yield
    finally:
        block_published.disconnect(listener)


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_stored_before_its_events_are_heard_also_the_second_time(ada, course, answers):
    """A listener that breaks its transaction breaks nothing of the answer's."""
    in_transaction, stale = [], [runtime(course, ada)]
    stale[0].get_block(answers)
    Store().save(ada, {answers: {"taken": {"meanwhile": 1}}})

    def break_it(sender, **event):
        in_transaction.append(connection.in_atomic_block)
        type(ada).objects.create(pk=ada.pk, username="another")

    with heard_by(break_it):
        response = handle(partial(next_of, stale, course, ada), answers, "tell", "x", posted("{}"))
    assert (response.status_code, in_transaction) == (200, [False])
    assert Store().read(ada, [answers])[answers].fields["taken"] == {"meanwhile": 1, "told": 1}


def test_what_a_caller_rolls_back_is_not_heard_of(ada, course, answers):
    heard = []
    with heard_by(lambda sender, **event: heard.append(event)), commit_callbacks():
        with transaction.atomic():
            call(course, ada, answers, "tell", {"n": 1})
            transaction.set_rollback(True)
        assert heard == []
        call(course, ada, answers, "tell", {"n": 2})
    assert [event["event"] for event in heard] == [{"n": 2}]


@pytest.mark.parametrize("size", [5, 3_000_000], ids=["in memory", "in a file"])
@pytest.mark.parametrize("suffix", ["", "move"])
def test_a_file_that_a_block_closed_or_moved_is_there_for_the_second_run(ada, course, answers, size, suffix):
    stale = [runtime(course, ada)]
    stale[0].get_block(answers)
    Store().save(ada, {answers: {"taken": {"meanwhile": 1}}})
    request = RequestFactory().post("/", {"file": SimpleUploadedFile("a.bin", b"x" * size)})
    response = handle(partial(next_of, stale, course, ada), answers, "close", suffix, request)
    assert json.loads(response.content) == {"meanwhile": 1, "read": size}
    request.close()


def test_a_handler_that_gives_no_response_saves_nothing(ada, course, answers):
    with pytest.raises(NotAResponseError, match="'nothing'"):
        ask(course, ada, answers, "nothing")
    assert not Store().read(ada, [answers])


def test_what_is_saved_while_an_answer_is_streamed_is_an_error(ada, course, answers):
    response = ask(course, ada, answers, "stream_and_save")
    with pytest.raises(ReadOnlyError):
        list(response.streaming_content)
    assert not Store().read(ada, [answers])


def test_an_uploaded_file_is_there_for_the_second_run(ada, course, answers):
    stale = [runtime(course, ada)]
    stale[0].get_block(answers)
    Store().save(ada, {answers: {"taken": {"meanwhile": 1}}})
    request = RequestFactory().post("/", {"file": SimpleUploadedFile("a.bin", b"12345")})
    response = handle(partial(next_of, stale, course, ada), answers, "upload", "", request)
    assert json.loads(response.content) == {"meanwhile": 1, "a.bin": 5}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_one", [True, False], ids=["one learner", "many learners"])
def test_thirty_votes_at_once_count_thirty(course, django_user_model, is_one):
    counter = key_in(course, "test-counter", "c")
    users = [django_user_model.objects.create_user(f"voter-{number}") for number in range(1 if is_one else 30)]

    def vote(number):
        try:
            return call(course, users[number % len(users)], counter, "count", {}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(vote, range(30))) == {200}
    assert Store().read(None, [Summary(counter)])[Summary(counter)].fields["votes"] == 30
    seen = [Store().read(user, [counter])[counter].fields["seen"] for user in users]
    assert sum(seen) == 30


# Speed


def test_a_check_of_a_problem_takes_three_queries(ada):
    """One that reads, one that saves, and on SQLite one for the history; the statements of transactions beside."""
    course, chess = current_course(), example("problem", "chess-master")
    check_problem(course, ada, chess, "choice_0")
    with query_budget(3):
        assert check_problem(course, ada, chess, "choice_1").status_code == 200
    assert Store().read(ada, [chess])[chess].fields["attempts"] == 2


def test_keys_of_blocks_are_not_parsed(ada, course, answers, monkeypatch):
    def parse(text):
        raise AssertionError(f"{text} was parsed")

    monkeypatch.setattr(UsageKey, "from_string", parse)
    assert key_in_url(course, str(answers)) is course.block(answers).usage_key
    assert call(course, ada, key_in_url(course, str(answers)), "echo", {}).status_code == 200
