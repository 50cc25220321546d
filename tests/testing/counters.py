"""Counters of the blog, as the code that meets a fault: each name is a statement, and a save a transaction."""

from __future__ import annotations

from django.db import transaction

from tests.testing.blog.models import Counter


def names(alias: str) -> list[str]:
    return sorted(Counter.objects.using(alias).values_list("name", flat=True))


def add(alias: str, name: str) -> None:
    Counter.objects.using(alias).create(name=name)


def save(alias: str, *names: str) -> None:
    with transaction.atomic(alias):
        for name in names:
            add(alias, name)
