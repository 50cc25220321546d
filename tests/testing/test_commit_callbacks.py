"""on_commit callbacks run in a TestCase when production would run them, and the others say why they did not."""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.db.transaction import atomic, on_commit
from django.test import TestCase

from fieldstone.testing.transactions import commit_callbacks, expect_db_error
from tests.testing.blog.models import Author
from tests.testing.conftest import on_engines


@pytest.fixture
def mails():
    return []


def names(callbacks):
    return [each.function for each in callbacks]


def why(callbacks):
    return [(each.function, each.why) for each in callbacks]


def publish(alias, mails, fails=False):
    """The code under test."""

    def send_mail():
        mails.append("sent")

    with atomic(using=alias):
        on_commit(send_mail, using=alias)
        mails.append("saved")
        if fails:
            raise ValueError("no author")


@on_engines(transaction=True)
def test_nobody_but_django_keeps_a_callback(alias):
    """Code may wait for Django to let go of one that was rolled back. Under pytest each test is looked at."""
    gone = []

    def register_and_fail():
        class AfterCommit:
            def __call__(self):
                pass

        callback = AfterCommit()
        weakref.finalize(callback, gone.append, "callback")
        with atomic(using=alias):
            on_commit(callback, using=alias)
            del callback
            assert not gone
            raise ValueError("no author")

    with commit_callbacks() as callbacks, contextlib.suppress(ValueError):
        register_and_fail()
    assert gone == ["callback"]
    assert len(callbacks.never_run) == 1


@on_engines(transaction=False)
def test_they_run_when_the_outermost_block_of_the_code_ends(alias, mails):
    with commit_callbacks() as callbacks:
        with atomic(using=alias):
            publish(alias, mails)
            assert mails == ["saved"]
            assert why(callbacks.never_run) == [("send_mail", "the transaction is still open")]
        assert mails == ["saved", "sent"]
    (ran,) = callbacks.ran
    assert (ran.function, ran.using, ran.why, ran.error) == ("send_mail", alias, "", None)
    assert (ran.place.path, ran.place.function) == ("tests/testing/test_commit_callbacks.py", "publish")
    assert callbacks.never_run == callbacks.failed == []
    assert connections[alias].run_on_commit == []


@on_engines(transaction=False)
def test_outside_of_a_block_they_run_at_once(alias, mails):
    with commit_callbacks():
        on_commit(lambda: mails.append("sent"), using=alias)
        assert mails == ["sent"]


@on_engines(transaction=True)
def test_in_real_transactions_django_runs_them_and_they_are_shown(alias, mails):
    with commit_callbacks() as callbacks:
        with atomic(using=alias):
            publish(alias, mails)
            assert mails == ["saved"]
        assert mails == ["saved", "sent"]
        on_commit(functools.partial(mails.append, "at once"), using=alias)
        with pytest.raises(ValueError, match="no author"):
            publish(alias, mails, fails=True)
    assert names(callbacks.ran) == ["send_mail", "list.append"]
    assert why(callbacks.never_run) == [("send_mail", "rolled back")]


@on_engines(transaction=True)
def test_what_is_still_open_at_the_end_of_the_block(alias, mails):
    with atomic(using=alias), commit_callbacks() as callbacks:
        publish(alias, mails)
    assert mails == ["saved", "sent"]  # by Django, after the block
    assert why(callbacks.never_run) == [("send_mail", "the transaction is still open")]


@on_engines(transaction=False)
def test_a_block_without_a_savepoint(alias, mails):
    with commit_callbacks() as callbacks:
        with atomic(using=alias, savepoint=False):
            publish(alias, mails)
            assert mails == ["saved"]
        assert mails == ["saved", "sent"]
        refused = pytest.raises(ValueError, match="no author")
        with atomic(using=alias), refused, atomic(using=alias, savepoint=False):
            publish(alias, mails, fails=True)
    assert names(callbacks.ran) == ["send_mail"]
    assert why(callbacks.never_run) == [("send_mail", "rolled back")]


def test_an_error_in_an_outermost_block_without_a_savepoint(db, mails):
    with atomic(), commit_callbacks() as callbacks:
        with pytest.raises(ValueError, match="no"), atomic(savepoint=False):
            on_commit(lambda: mails.append("sent"))
            raise ValueError("no")
        transaction.set_rollback(False)
    assert mails == []
    assert why(callbacks.never_run) == [("<lambda>", "rolled back")]


@on_engines(transaction=False)
def test_what_is_rolled_back_never_runs(alias, mails):
    with commit_callbacks() as callbacks:
        with pytest.raises(ValueError, match="no author"):
            publish(alias, mails, fails=True)
        with atomic(using=alias):
            with pytest.raises(ValueError, match="no author"):
                publish(alias, mails, fails=True)
            publish(alias, mails)
    assert mails == ["saved", "saved", "saved", "sent"]
    assert why(callbacks.never_run) == [("send_mail", "rolled back")] * 2


@pytest.mark.parametrize(
    "real",
    [
        pytest.param(False, marks=pytest.mark.django_db),
        pytest.param(True, marks=pytest.mark.django_db(transaction=True, available_apps=["tests.testing.blog"])),
    ],
)
def test_those_that_callbacks_register_run_too(real, mails):
    def first():
        with atomic():
            on_commit(second)
            mails.append("first")
        on_commit(lambda: mails.append("third"))

    def second():
        mails.append("second")

    with commit_callbacks() as callbacks, atomic():
        on_commit(first)
        on_commit(lambda: mails.append("fourth"))
    assert mails == ["first", "second", "third", "fourth"]
    assert names(callbacks.ran) == ["first", "second", "<lambda>", "<lambda>"] or real


@pytest.mark.parametrize(
    "real",
    [
        pytest.param(False, marks=pytest.mark.django_db),
        pytest.param(True, marks=pytest.mark.django_db(transaction=True, available_apps=["tests.testing.blog"])),
    ],
)
def test_an_error_is_raised_and_the_rest_never_runs(real, mails, caplog):
    def stumble():
        raise ValueError("no server")

    def after():
        mails.append("after")

    with commit_callbacks() as callbacks:
        with pytest.raises(ValueError, match="no server"), atomic():
            on_commit(stumble, robust=True)
            on_commit(stumble)
            on_commit(after)
        assert connections["default"].in_atomic_block is not real
    assert mails == []
    assert [(each.function, str(each.error)) for each in callbacks.failed] == [("stumble", "no server")] * 2
    assert why(callbacks.never_run) == [("after", "stumble raised before it")]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("django.db.backends.base", logging.ERROR)
    assert record.getMessage().endswith("in on_commit() during transaction (no server).")


@on_engines(transaction=False)
def test_with_run_false_they_are_only_shown(alias, mails):
    with commit_callbacks(run=False) as callbacks:
        publish(alias, mails)
        on_commit(lambda: mails.append("at once"), using=alias)
    assert mails == ["saved"]
    reason = "commit_callbacks(run=False) runs none"
    assert why(callbacks.never_run) == [("send_mail", reason), ("<lambda>", reason)]


@on_engines(transaction=False)
def test_of_one_database_only(alias, mails):
    with commit_callbacks(using="default_history") as callbacks:
        publish(alias, mails)
    assert mails == ["saved"]
    assert callbacks.never_run == []


@on_engines(transaction=False)
def test_a_block_of_the_tests_own_is_not_the_codes(alias, mails):
    with atomic(using=alias), commit_callbacks():
        publish(alias, mails)
        assert mails == ["saved", "sent"]


@on_engines(transaction=False)
def test_the_savepoint_of_an_expected_error_is_not_the_codes(alias, mails):
    with commit_callbacks(), expect_db_error(using=alias):
        publish(alias, mails)
        assert mails == ["saved", "sent"]
        Author.objects.using(alias).create(name=None)


@on_engines(transaction=False)
def test_in_a_coroutine(alias, mails):
    async def coroutine():
        async with commit_callbacks() as callbacks:
            await sync_to_async(publish)(alias, mails)
        return callbacks

    assert names(async_to_sync(coroutine)().ran) == ["send_mail"]
    assert mails == ["saved", "sent"]


class TestDjangosOwn(TestCase):
    """captureOnCommitCallbacks keeps working inside."""

    def test_it_has_the_callbacks_to_itself(self):
        mails = []
        with commit_callbacks() as callbacks:
            with self.captureOnCommitCallbacks() as captured:
                publish("default", mails)
            self.assertEqual(names(callbacks.never_run), ["send_mail"])
            self.assertEqual((len(captured), mails), (1, ["saved"]))
            with self.captureOnCommitCallbacks(execute=True) as captured:
                publish("default", mails)
                self.assertEqual(mails, ["saved", "saved"])
            self.assertEqual((len(captured), mails), (1, ["saved", "saved", "sent"]))
            publish("default", mails)
        self.assertEqual(mails, ["saved", "saved", "sent", "saved", "sent"])
        self.assertEqual(names(callbacks.ran), ["send_mail", "send_mail"])
        self.assertEqual(why(callbacks.never_run), [("send_mail", "captureOnCommitCallbacks() has it")])

    def test_one_that_raises_in_it(self):
        def stumble():
            raise ValueError("no server")

        captured = self.captureOnCommitCallbacks(execute=True)
        with commit_callbacks() as callbacks, self.assertRaises(ValueError), captured:
            on_commit(stumble)
        self.assertEqual(
            [(each.function, str(each.error)) for each in callbacks.failed], [("stumble", "no server")]
        )

    def test_an_error_of_the_body_is_not_taken_for_the_callbacks(self):
        mails = []
        captured = self.captureOnCommitCallbacks(execute=True)
        with commit_callbacks() as callbacks, self.assertRaises(KeyError), captured:
            publish("default", mails)
            raise KeyError("of the test")
        self.assertEqual((names(callbacks.ran), mails), (["send_mail"], ["saved", "sent"]))

    @commit_callbacks()
    def test_as_a_decorator(self):
        mails = []
        publish("default", mails)
        self.assertEqual(mails, ["saved", "sent"])

    def test_what_is_no_function_is_refused_as_ever(self):
        with commit_callbacks() as callbacks, self.assertRaises(TypeError):
            on_commit("send_mail")
        self.assertEqual(callbacks.never_run, [])


def test_the_fixture_and_the_section_of_a_failed_test(project):
    result = project(
        """
        import pytest
        from django.db import transaction
        from django.test import TestCase

        mails = []

        def send_mail():
            mails.append("sent")

        def publish():
            with transaction.atomic():
                transaction.on_commit(send_mail)

        def test_with(db, commit_callbacks):
            publish()
            assert mails.pop() == "sent"
            assert [each.function for each in commit_callbacks.ran] == ["send_mail"]

        def test_beside_djangos(commit_callbacks, db, django_capture_on_commit_callbacks):
            with django_capture_on_commit_callbacks(execute=True) as captured:
                publish()
            assert len(captured) == 1
            assert mails.pop() == "sent"
            assert mails == []

        def test_without(db):
            publish()
            assert mails == ["sent"]

        class TestPosts(TestCase):
            @pytest.fixture(autouse=True)
            def callbacks(self, commit_callbacks):
                self.callbacks = commit_callbacks

            def test_with(self):
                publish()
                self.assertEqual(mails.pop(), "sent")

        class TestWithout(TestCase):
            def test_it(self):
                publish()
                try:
                    with transaction.atomic():
                        publish()
                        raise ValueError
                except ValueError:
                    pass
                self.assertEqual(mails, ["sent"])
        """,
    )
    result.assert_outcomes(passed=3, failed=2)
    section = [
        "*--- on_commit callbacks never run ---*",
        "  send_mail  registered at test_blog.py:12 in publish  on 'default'  *is never committed",
        "The fixture commit_callbacks, or `with commit_callbacks():`, runs them as a commit would.",
    ]
    result.stdout.fnmatch_lines([*section, *section], consecutive=False)
    assert str(result.stdout).count("registered at test_blog.py") == 2
