"""A project's own function in the place of Django's on_commit, and what commit_callbacks refuses."""

from __future__ import annotations

import pytest
from django.utils.connection import ConnectionDoesNotExist

from fieldstone.testing.transactions import commit_callbacks


def test_patches_that_outlast_a_test_disturb_no_other(project):
    result = project(
        """
        from unittest import mock
        from django.db import transaction
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.transaction import Atomic
        from django.test import TestCase, TransactionTestCase
        from fieldstone.testing import commit_callbacks

        mails = []
        at_once = lambda self, f, robust=False: f()

        def send_mail():
            mails.append("sent")

        class TestA(TestCase):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                cls.enterClassContext(mock.patch.object(BaseDatabaseWrapper, "on_commit", at_once))

            def test_1(self):
                transaction.on_commit(send_mail)
                assert mails.pop() == "sent"

            test_2 = test_1

            def test_3_is_told_that_it_is_not_djangos(self):
                with transaction.atomic(), commit_callbacks() as callbacks:
                    transaction.on_commit(send_mail)
                assert mails.pop() == "sent"
                (callback,) = callbacks.never_run
                assert callback.why == "somebody's own on_commit, in the place of Django's, has it"

        class TestB(TransactionTestCase):
            def test_1(self):
                with transaction.atomic():
                    transaction.on_commit(send_mail)
                    assert mails == []
                assert mails.pop() == "sent"

            test_2 = test_1

        def test_nothing_is_left_over(commit_callbacks, db):
            with transaction.atomic():
                transaction.on_commit(send_mail)
            assert mails.pop() == "sent"
            assert [each.function for each in commit_callbacks.ran] == ["send_mail"]
        """,
    )
    result.assert_outcomes(passed=6)


def test_what_cannot_be_undone_is_an_error_of_the_test_and_not_of_the_session(project):
    result = project(
        """
        from django.db import transaction
        from django.db.backends.signals import connection_created

        def test_leaves_a_mock_behind(db):
            def once(receiver):
                connection_created.disconnect = kept
                raise KeyError("of a mock")

            kept, connection_created.disconnect = connection_created.disconnect, once

        def test_after_it(db, commit_callbacks):
            with transaction.atomic():
                transaction.on_commit(print)
            assert len(commit_callbacks.ran) == 1
        """,
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaves_a_mock_behind*", "*KeyError: 'of a mock'"])
    result.assert_outcomes(passed=2, errors=1)


@pytest.mark.parametrize("using", [False, True, 0, b"default", ("default",)])
def test_what_is_no_alias_is_refused(using):
    with pytest.raises(TypeError, match=r"takes a database's alias, or None for all, and not "):
        commit_callbacks(using)


def test_the_parentheses_of_the_decorator_are_asked_for():
    with pytest.raises(TypeError, match=r"write @commit_callbacks\(\), with parentheses"):

        @commit_callbacks
        def test_mails():
            pass


def test_run_is_named():
    with pytest.raises(TypeError):
        commit_callbacks("default", False)


def test_an_alias_that_the_settings_do_not_have(db):
    with pytest.raises(ConnectionDoesNotExist, match="nope"), commit_callbacks(using="nope"):
        pytest.fail("the block began")
