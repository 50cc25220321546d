"""What a budget that was not kept says: the comparison, the patterns with their remedies, the places."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction
from django.db.models import Prefetch

from fieldstone.testing.budgets import QueryBudgetExceeded, query_budget
from fieldstone.testing.budgets.report import PATTERNS, PLACES
from tests.testing.blog.models import Author, Comment, Post, Tag
from tests.testing.conftest import on_engines

pytestmark = pytest.mark.urls("tests.testing.blog.urls")


def write_blog(alias="default", posts=4):
    for number in range(posts):
        author = Author.objects.using(alias).create(name=f"author {number}")
        post = Post.objects.using(alias).create(author=author, slug=f"post-{number}", text="It rained.")
        post.tags.add(Tag.objects.using(alias).create(name="rain"))
        Comment.objects.using(alias).create(post=post, author=author, text="It did.")


def text_of(body, **budget):
    with pytest.raises(QueryBudgetExceeded) as failure, query_budget(**(budget or {"default": 0})):
        body()
    return str(failure.value)


def remedies_of(body):
    """The two sentences below each pattern; without the place of the query, which is this file's."""
    lines = text_of(body).split("\n\n")
    return [
        [
            re.sub(r", at tests/testing/test_budgets_messages.py:\d+ in .*\.$", " (here).", line.strip())
            for line in part
        ]
        for part in (each.splitlines()[3:] for each in lines if each.startswith("N+1"))
    ]


@pytest.mark.django_db
class TestTheListOfPosts:
    def test_as_first_written_has_its_n_plus_one_named(self, client):
        write_blog(posts=8)
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget(default=4):
            client.get("/first/")
        first = Author.objects.order_by("pk").first().pk
        assert str(failure.value) == (
            "Query budget exceeded: 9 queries on default, at most 4 allowed, 5 too many.\n"
            "\n"
            "  database   budget      used   difference\n"
            "  default    at most 4      9           +5\n"
            "\n"
            "N+1: the same query 8 times, with 8 different parameters, at blog/posts.html:5\n"
            '  SELECT … FROM "blog_author" WHERE "blog_author"."id" = %s LIMIT 21\n'
            f"  with ({first}), ({first + 1}), ({first + 2}), … and 5 more\n"
            "  Post.author is fetched for one Post at a time.\n"
            '  Add .select_related("author") to the query for the Post objects, at blog/posts.html:2.\n'
            "\n"
            "Queries by place, most first:\n"
            '  8   blog/posts.html:5   SELECT … FROM "blog_author" WHERE "blog_author"."id" = %s LIMIT 21\n'
            '  1   blog/posts.html:2   SELECT … FROM "blog_post" ORDER BY "blog_post"."id" ASC'
        )

    def test_as_it_should_be_keeps_the_budget(self, client):
        write_blog(posts=8)
        with query_budget(default=1, exact=True):
            client.get("/")


@on_engines(transaction=False)
def test_on_each_engine_the_remedy_is_the_same(alias):
    write_blog(alias)
    with pytest.raises(QueryBudgetExceeded) as failure, query_budget(**{alias: 1}):
        for post in Post.objects.using(alias):
            str(post.author)
            list(post.tags.all())
    text = str(failure.value)
    assert "4 times, with 4 different parameters" in text
    assert (
        'Add .select_related("author") to the query for the Post objects, at tests/testing/test_budgets_' in text
    )
    assert (
        'Add .prefetch_related("tags") to the query for the Post objects, at tests/testing/test_budgets_' in text
    )


@pytest.mark.django_db
class TestRemedies:
    @pytest.fixture(autouse=True)
    def blog(self):
        write_blog()

    def check(self, query, cause, cure):
        def body():
            for post in Post.objects.order_by("pk"):
                query(post)

        assert remedies_of(body) == [[cause, cure]]

    def test_related_objects(self):
        self.check(
            lambda post: list(post.comments.all()),
            "Post.comments is fetched for one Post at a time.",
            'Add .prefetch_related("comments") to the query for the Post objects (here).',
        )

    def test_related_objects_of_many_to_many_from_the_other_side(self):
        def body():
            for tag in Tag.objects.all():
                list(tag.posts.all())

        assert remedies_of(body) == [
            [
                "Tag.posts is fetched for one Tag at a time.",
                'Add .prefetch_related("posts") to the query for the Tag objects (here).',
            ]
        ]

    def test_a_part_of_the_related_objects(self):
        self.check(
            lambda post: list(post.comments.filter(text="It did.")),
            "A part of Post.comments is fetched for one Post at a time.",
            'Add .prefetch_related(Prefetch("comments", queryset=..., to_attr=...)) to the query for the Post '
            "objects (here).",
        )

    def test_their_number(self):
        self.check(
            lambda post: post.comments.count(),
            "The number of Post.comments is asked for one Post at a time.",
            'Add .annotate(Count("comments")) to the query for the Post objects (here).',
        )

    def test_the_existence_of_any(self):
        self.check(
            lambda post: post.tags.exists(),
            "The existence of Post.tags is asked for one Post at a time.",
            "Add .annotate(Exists(...)) to the query for the Post objects (here).",
        )

    def test_deferred_fields(self):
        def body():
            for post in Post.objects.only("slug"):
                assert post.text

        assert remedies_of(body) == [
            [
                "Post.text was deferred, and is fetched for one Post at a time.",
                'Take "text" out of .defer(), or into .only(), of the query for the Post objects (here).',
            ]
        ]

    @pytest.mark.parametrize(
        ("comments", "mended"),
        [
            (Comment.objects.only("text"), Comment.objects.only("text", "author").select_related("author")),
            (Comment.objects.defer("author"), Comment.objects.select_related("author")),
        ],
    )
    def test_a_deferred_foreign_key(self, comments, mended):
        """Django refuses ``select_related`` of what is deferred, so the advice is to take that back as well."""
        with pytest.raises(FieldError):
            comments.select_related("author").first()

        def body(comments=comments):
            for comment in comments.all():
                assert comment.author.name

        assert remedies_of(body) == [
            [
                "Comment.author_id was deferred, and is fetched for one Comment at a time.",
                'Take "author" out of .defer(), or into .only(), of the query for the Comment objects (here).',
            ],
            [
                "Comment.author is fetched for one Comment at a time.",
                'Add .select_related("author"), and take "author" out of .defer(), or into .only(), of the query '
                "for the Comment objects (here).",
            ],
        ]
        with query_budget(default=1):
            body(mended)

    def test_a_foreign_key_beside_deferred_fields(self):
        def body():
            for comment in Comment.objects.defer("text"):
                assert comment.author.name

        assert remedies_of(body) == [
            [
                "Comment.author is fetched for one Comment at a time.",
                'Add .select_related("author") to the query for the Comment objects (here).',
            ]
        ]

    def test_get(self):
        self.check(
            lambda post: Author.objects.get(pk=post.author_id),
            "Author is fetched by one pk at a time.",
            "Before, Author.objects.in_bulk([...]).",
        )

    def test_filter_by_a_field(self):
        self.check(
            lambda post: list(Author.objects.filter(name=f"author of {post.slug}")),
            "Author is fetched by one name at a time.",
            "Before, Author.objects.filter(name__in=[...]).",
        )

    def test_count_by_a_field(self):
        self.check(
            lambda post: Comment.objects.filter(author=post.author_id).count(),
            "The number of Comment objects is asked for one author at a time.",
            'Before, Comment.objects.values("author").annotate(Count("pk")).',
        )

    def test_save(self):
        posts = list(Post.objects.all())

        def body():
            for post in posts:
                post.likes += post.pk
                post.save()

        assert remedies_of(body) == [
            [
                "One Post is saved at a time.",
                "After, Post.objects.bulk_update([...], fields=[...]); if all get the same, "
                ".filter(...).update(...).",
            ]
        ]

    def test_create_and_delete(self):
        def body():
            for name in "abc":
                Tag.objects.create(name=name)
            for tag in Tag.objects.filter(name__in="abc"):
                Tag.objects.filter(pk=tag.pk).delete()

        stored, *deleted = remedies_of(body)
        assert stored == ["One Tag is stored at a time.", "After, Tag.objects.bulk_create([...])."]
        assert deleted[0] == [
            "One Tag is deleted at a time.",
            "After, Tag.objects.filter(pk__in=[...]).delete().",
        ]

    def test_a_mended_loop_is_no_pattern(self):
        def body():
            comments = Prefetch("comments", queryset=Comment.objects.select_related("author"))
            for post in Post.objects.select_related("author").prefetch_related(comments, "tags"):
                assert post.author and [comment.author for comment in post.comments.all()] and post.tags.all()

        assert "N+1" not in text_of(body)


@pytest.mark.django_db
class TestLayout:
    def test_several_databases(self, django_db_blocker):
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget(default=1, default_history=2):
            Author.objects.count()
            Tag.objects.count()
        assert (
            "  database          budget      used   difference\n"
            "  default           at most 1      2           +1\n"
            "  default_history   at most 2      0           -2\n"
        ) in str(failure.value)

    def test_all_together(self):
        text = text_of(lambda: [Author.objects.count(), Tag.objects.count()], default=1)
        assert "N+1" not in text
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget(1, exact=True):
            pass
        assert str(failure.value) == (
            "Query budget not used up: 0 queries on all databases together, exactly 1 allowed, 1 too few.\n"
            "\n"
            "  database       budget      used   difference\n"
            "  all together   exactly 1      0           -1"
        )

    def test_the_same_with_the_same_parameters_is_another_matter(self):
        text = text_of(lambda: [Author.objects.count() for _again in range(3)])
        assert re.search(
            r"Asked again: the same query 3 times, with the same parameters, at \S+:\d+ in .*\n"
            r'  SELECT COUNT\(\*\) AS "__count" FROM "blog_author"\n'
            r"  Ask once, and keep the answer\.\n",
            text,
        )

    def test_savepoints_are_no_pattern(self):
        def body():
            with transaction.atomic():
                for name in "abc":
                    with transaction.atomic():
                        Tag.objects.create(name=name)

        text = text_of(body)
        assert "N+1: the same query 3 times" in text
        assert "N+1: the same query 3 times, with 3 different parameters" in text
        assert re.search(r"  3   \S+ in \S+\s+SAVEPOINT\n  3   ", text)

    def test_lists_of_different_length_are_the_same_query(self):
        text = text_of(lambda: [list(Author.objects.filter(pk__in=range(n))) for n in (2, 3, 4)])
        assert 'WHERE "blog_author"."id" IN (%s, ...)' in text
        assert "with (0, 1), (0, 1, 2), (0, 1, 2, 3)\n" in text

    def test_much_is_cut(self):
        lookups = ["contains", "exact", "gt", "gte", "lt", "lte"]

        def body():
            for length in range(3):
                for lookup in lookups:
                    wanted = {f"name__{lookup}": str(length)}
                    for objects in (Author.objects, Tag.objects):
                        objects.filter(**wanted).count()
                        objects.exclude(**wanted).count()

        text = text_of(body)
        assert f"… and {24 - PATTERNS} other patterns.\n" in text
        assert f"  … and {24 - PLACES} more (27 queries)" in text
        assert max(map(len, text.splitlines())) < 180

    def test_what_was_ignored_is_the_last_line(self):
        def body():
            Author.objects.count()
            Tag.objects.count()

        text = text_of(body, default=0, ignore=[re.compile("tag$|tag\\W$"), "blog_post"])
        assert text.splitlines()[-1] == "Not counted, as ignored: 1 by 'tag$|tag\\\\W$'."

    def test_secrets_and_long_texts_are_not_shown(self):
        def body():
            with connection.cursor() as cursor:
                for n in range(3):
                    cursor.execute("SELECT %s AS password, %s AS id", [f"hunter{n}", n])
                    cursor.execute("SELECT %s AS a, %s AS b", [b"raw%d" % n, "x" * 99])

        text = text_of(body)
        assert "hunter" not in text and "with (<hidden>, 0), (<hidden>, 1), (<hidden>, 2)" in text
        assert "with (<bytes>, 'xxxxxxxxxxxxxxxxxxxxx...'), " in text
