"""Query budgets in a project's own pytest run: the mark, the fixture, async tests and test cases."""

from __future__ import annotations

import pickle
import re

from fieldstone.testing.budgets import QueryBudgetExceeded
from tests.testing.test_named_budgets import django_tests

ASYNCIO = ("-p", "pytest_asyncio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")

IMPORTS = """
    import pytest
    from django.test import TestCase
    from fieldstone.testing.budgets import query_budget as budget
    from tests.testing.blog.models import Author, Post
"""


def outcomes(result):
    """By test: how it went."""
    return dict(
        re.findall(r"^test_blog\.py::(\S+) (PASSED|FAILED|ERROR)", "\n".join(result.outlines), re.MULTILINE)
    )


def test_the_mark_and_the_fixture(project):
    result = project(
        IMPORTS
        + """
    @pytest.fixture
    def posts(db):
        for number in range(8):
            author = Author.objects.create(name=f"author {number}")
            Post.objects.create(author=author, slug=f"post-{number}")

    @pytest.mark.query_budget(default=4)
    def test_list_as_first_written(posts, client):
        client.get("/first/")

    @pytest.mark.query_budget(default=4)
    def test_list(posts, client):
        client.get("/")

    @pytest.mark.query_budget(default=1, exact=True)
    class TestClass:
        def test_of_the_class(self, posts):
            Author.objects.count()

        @pytest.mark.query_budget(0)
        def test_its_own(self, db):
            Author.objects.count()

    def test_fixture(posts, query_budget):
        with query_budget(default=1):
            Author.objects.count()
            Author.objects.first()

    @pytest.mark.query_budget(default=1)
    def test_budget_of_the_body_is_broken(db):
        with budget(0):
            Author.objects.count()

    @pytest.mark.query_budget(defautl=4)
    def test_refused(db):
        pass
    """,
        "-v",
    )
    assert outcomes(result) == {
        "test_list_as_first_written": "FAILED",
        "test_list": "PASSED",
        "TestClass::test_of_the_class": "PASSED",
        "TestClass::test_its_own": "FAILED",
        "test_fixture": "FAILED",
        "test_budget_of_the_body_is_broken": "FAILED",
        "test_refused": "ERROR",
    }
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_refused*",
            "@pytest.mark.query_budget: No database has the alias 'defautl'. DATABASES has: default, history.",
            "*QueryBudgetExceeded: Query budget exceeded: 9 queries on default, at most 4 allowed, 5 too many.",
            "*  database   budget      used   difference",
            "*  default    at most 4      9           +5",
            "*N+1: the same query 8 times, with 8 different parameters, at blog/posts.html:5",
            '*  SELECT … FROM "blog_author" WHERE "blog_author"."id" = %s LIMIT 21',
            "*  with (1), (2), (3), … and 5 more",
            "*  Post.author is fetched for one Post at a time.",
            '*  Add .select_related("author") to the query for the Post objects, at blog/posts.html:2.',
            "*Queries by place, most first:",
            "*  8   blog/posts.html:5   SELECT …*",
            "*  1   blog/posts.html:2   SELECT …*",
            ">*with query_budget(default=1):",
            "E*  1   test_blog.py:* in test_fixture *",
            "test_blog.py:*: QueryBudgetExceeded",
            ">*with budget(0):",
            "test_blog.py:*: QueryBudgetExceeded",
        ]
    )
    result.stdout.no_fnmatch_line("*around.py*")
    result.stdout.no_fnmatch_line("*plugin/budgets.py*")


def test_async_tests_test_cases_and_property_tests(project):
    result = project(
        IMPORTS
        + """
    import asyncio
    from hypothesis import given, settings, strategies as st

    async def names():
        for number in range(4):
            await Author.objects.filter(pk=number).aexists()

    @pytest.mark.django_db
    @pytest.mark.query_budget(default=9)
    async def test_async():
        await asyncio.gather(names(), names())
        assert [author async for author in Author.objects.all()] == []

    @pytest.mark.django_db
    @pytest.mark.query_budget(default=2)
    async def test_async_too_many(query_budget):
        async with query_budget(default=4):
            await names()

    class CaseTests(TestCase):
        @pytest.mark.query_budget(1)
        def test_marked(self):
            Author.objects.count()
            Author.objects.first()

        @pytest.mark.query_budget(1)
        async def test_async_marked(self):
            await names()

        @budget(4)
        async def test_async_decorated(self):
            await names()

    @budget(0)
    class DecoratedTests(TestCase):
        def test_decorated(self):
            Author.objects.count()

    @pytest.mark.django_db
    @pytest.mark.query_budget(default=1, exact=True)
    @settings(max_examples=5)
    @given(st.booleans())
    def test_each_example(is_count):
        assert not (Author.objects.count() if is_count else Author.objects.exists())

    @pytest.mark.django_db
    @pytest.mark.query_budget(default=1)
    @settings(max_examples=5)
    @given(st.just(2))
    def test_each_example_too_many(number):
        for _ in range(number):
            Author.objects.count()
    """,
        *ASYNCIO,
        "-v",
    )
    assert outcomes(result) == {
        "test_async": "PASSED",
        "test_async_too_many": "FAILED",
        "CaseTests::test_marked": "FAILED",
        "CaseTests::test_async_marked": "FAILED",
        "CaseTests::test_async_decorated": "PASSED",
        "DecoratedTests::test_decorated": "FAILED",
        "test_each_example": "PASSED",
        "test_each_example_too_many": "FAILED",
    }
    result.stdout.fnmatch_lines(
        [
            "*_ test_async_too_many _*",
            "*QueryBudgetExceeded: Query budget exceeded: 4 queries on default, at most 2 allowed, 2 too many.",
            "*N+1: the same query 4 times, with 4 different parameters, at test_blog.py:* in names",
            "*  The existence of Author objects is asked for one pk at a time.",
            "*  4   test_blog.py:* in names *",
            "All traceback entries are hidden.*",
            "*_ CaseTests.test_marked _*",
            "*1   test_blog.py:* in CaseTests.test_marked *",
        ]
    )


def test_unittest_without_pytest(pytester):
    pytester.makepyfile(
        test_blog="""
    from django.test import TestCase
    from fieldstone.testing.budgets import query_budget
    from tests.testing.blog.models import Author

    class CaseTests(TestCase):
        @query_budget(default=1)
        def test_too_many(self):
            Author.objects.count()
            Author.objects.first()

        def test_enough(self):
            with query_budget(default=1) as counted:
                Author.objects.count()
            self.assertEqual(counted.count(), 1)

        @query_budget(default=1)
        async def test_async_too_many(self):
            await Author.objects.acount()
            await Author.objects.afirst()
    """
    )
    result = django_tests(pytester)
    assert "Ran 3 tests" in result.stderr
    assert "FAILED (failures=2)" in result.stderr
    assert "Query budget exceeded: 2 queries on default, at most 1 allowed, 1 too many." in result.stderr
    assert re.search(r"  1   test_blog.py:\d+ in CaseTests.test_too_many   SELECT COUNT", result.stderr)
    assert re.search(r"  1   test_blog.py:\d+ in CaseTests.test_async_too_many   SELECT COUNT", result.stderr)


def test_the_error_can_be_pickled():
    """Runners in several processes hand it from one to the other."""
    error = QueryBudgetExceeded("Query budget exceeded.", {"default": 2}, {"default": 1})
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.used, copy.allowed) == ("Query budget exceeded.", {"default": 2}, {"default": 1})


def test_a_project_without_django_settings_notices_nothing(pytester):
    pytester.makepyfile(
        test_plain="""
    import pytest

    @pytest.mark.query_budget(0)
    def test_plain(query_budget):
        with query_budget(0):
            pass

    @pytest.mark.query_budget(exat=True, default=3)
    def test_misspelt():
        pass

    @pytest.mark.query_budget("a", 3)
    def test_two():
        pass
    """
    )
    result = pytester.runpytest_subprocess("-p", "no:django")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.query_budget: query_budget(exat=True): is exact=True meant?",
            "@pytest.mark.query_budget: query_budget('a', 3): only one number, or one name, goes *",
        ]
    )
    result.stdout.no_fnmatch_line("*During handling*")
