"""Which error is named where there are several, and connections that outlive a test."""

from __future__ import annotations

import contextlib
import re

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from fieldstone.testing.transactions import BrokenTransaction, expect_db_error, explain_broken_transactions
from tests.testing.blog.models import Author, Counter
from tests.testing.conftest import on_engines
from tests.testing.test_broken_transactions import said, write


def test_the_connection_of_the_thread_of_coroutines_is_watched_in_every_test(project):
    result = project(
        """
        import pytest
        from asgiref.sync import sync_to_async
        from django.db import IntegrityError, transaction
        from tests.testing.blog.models import Author

        def save():
            try:
                Author.objects.create(name="ada")
            except IntegrityError:
                pass

        @transaction.atomic
        def work():
            save()
            save()
            Author.objects.count()

        @pytest.mark.asyncio
        @pytest.mark.parametrize("number", [1, 2])
        @pytest.mark.django_db(transaction=True)
        async def test_it(number):
            await sync_to_async(work)()
        """
    )
    result.assert_outcomes(failed=2)
    said = [line for line in result.outlines if line.startswith("E ") and "BrokenTransaction: An earlier" in line]
    assert len(said) == 2


def nonsense(alias):
    """Raw: Django knows nothing of it."""
    with contextlib.suppress(DatabaseError), connections[alias].cursor() as cursor:
        cursor.execute("SELECT nonsense FROM blog_author")


@on_engines(transaction=False)
def test_a_harmless_failure_is_not_taken_for_the_error_that_marked_the_transaction(alias):
    with explain_broken_transactions(), transaction.atomic(using=alias):
        with contextlib.suppress(ValueError), transaction.atomic(using=alias, savepoint=False):
            nonsense(alias)
            raise ValueError("the real cause")
        with pytest.raises(BrokenTransaction) as failed:
            Counter.objects.using(alias).count()
    if alias == "postgresql":  # where it is no harmless one
        assert "\n  statement  SELECT nonsense FROM blog_author\n" in said(failed)
    else:
        assert "\n  error      ValueError: the real cause\n" in said(failed)
        assert "nonsense" not in said(failed)
        assert isinstance(failed.value.__cause__, ValueError)


@on_engines(transaction=False)
def test_an_error_that_came_of_the_failure_names_the_failure(alias):
    with explain_broken_transactions(), transaction.atomic(using=alias):
        write(alias)
        with contextlib.suppress(ValueError), transaction.atomic(using=alias, savepoint=False):
            try:
                write(alias)
            except IntegrityError as error:
                raise ValueError("taken") from error
        with pytest.raises(BrokenTransaction) as failed:
            Counter.objects.using(alias).count()
    assert "\n  error      IntegrityError: " in said(failed)
    assert "\n  statement  INSERT INTO " in said(failed)


@on_engines(transaction=False)
def test_an_expected_error_is_forgotten_with_its_savepoint(alias):
    with explain_broken_transactions(), transaction.atomic(using=alias):
        write(alias)
        with expect_db_error(IntegrityError, using=alias):
            write(alias)
        with contextlib.suppress(IntegrityError):
            Counter.objects.using(alias).create(name=None)
        with pytest.raises(BrokenTransaction) as failed:
            Author.objects.using(alias).count()
    assert re.search(r"\n  statement  INSERT INTO [`\"]blog_counter[`\"] ", said(failed))


@on_engines(transaction=False)
def test_an_expected_error_cannot_begin_in_a_broken_transaction(alias):
    with explain_broken_transactions(), transaction.atomic(using=alias):
        nonsense(alias)
        if alias == "postgresql":
            with pytest.raises(BrokenTransaction) as failed, expect_db_error(using=alias):
                pytest.fail("the block began")
            assert "SELECT nonsense" in said(failed)
        transaction.set_rollback(True, using=alias)
