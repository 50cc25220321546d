"""A list of posts: as first written, with a query for each post's author, and as it should be."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tests.testing.blog.models import Post


def posts_first_written(request: HttpRequest) -> HttpResponse:
    return render(request, "blog/posts.html", {"posts": Post.objects.order_by("pk")})


def posts(request: HttpRequest) -> HttpResponse:
    return render(request, "blog/posts.html", {"posts": Post.objects.select_related("author").order_by("pk")})
