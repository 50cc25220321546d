"""A blog, as the test kit's users might have one: each tool's classic case is about these."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.timezone import now

COMMENTS_ARE_OPEN = timedelta(days=30)


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="author_name_any_case")]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Post(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="posts")
    slug = models.CharField(max_length=50)
    title = models.CharField(max_length=100, default="")
    text = models.TextField(default="")
    likes = models.IntegerField(default=0)
    tags = models.ManyToManyField(Tag, related_name="posts")
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    day = models.DateField(auto_now=True)
    published = models.DateTimeField(default=now)
    stored = models.DateTimeField(db_default=Now())

    class Meta:
        unique_together = [("author", "slug")]
        constraints = [
            models.CheckConstraint(condition=models.Q(likes__gte=0), name="post_likes_not_negative"),
            models.UniqueConstraint(
                fields=["title", "day"], name="post_title_of_a_day", condition=~models.Q(title="")
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def takes_comments(self) -> bool:
        """Until a month after its last edit."""
        return timezone.now() < self.modified + COMMENTS_ARE_OPEN


class Comment(models.Model):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    author = models.ForeignKey(Author, models.CASCADE, related_name="comments")
    text = models.TextField(default="")

    def __str__(self) -> str:
        return self.text


class Counter(models.Model):
    name = models.CharField(max_length=50, unique=True)
    count = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.count}"
