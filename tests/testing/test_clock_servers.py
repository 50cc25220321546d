"""The clock on one server: PostgreSQL's other ``now``, and how far and how exactly MariaDB's time goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.postgres.functions import TransactionNow

from fieldstone.testing.clock import frozen
from tests.testing.blog.models import Post
from tests.testing.test_clock_databases import NOON, asked, is_real, only_on, post_on


@only_on("postgresql")
def test_postgresqls_transaction_now_follows(alias: str):
    posts = Post.objects.using(alias).annotate(now=TransactionNow())
    post_on(alias)
    with frozen(NOON):
        assert posts.get().now == NOON
    assert is_real(posts.all().get().now)


@only_on("mariadb")
@pytest.mark.parametrize("moment", ["1960-01-01T00:00Z", "2150-01-01T00:00Z"])
def test_where_mariadbs_own_time_cannot_go_now_still_does(alias: str, moment: str):
    with frozen(NOON) as clock:
        assert asked(alias) == NOON
        clock.move_to(moment)
        assert post_on(alias).stored == datetime.fromisoformat(moment)
        servers = asked(alias)
    assert is_real(servers)


@only_on("mariadb")
@pytest.mark.parametrize("second", ["1971-01-01T00:00:00", "2026-03-01T12:00:59", "2037-12-31T23:59:59"])
def test_mariadbs_time_is_right_to_the_microsecond(alias: str, second: str):
    begin = datetime.fromisoformat(second).replace(tzinfo=UTC)
    with frozen(begin) as clock:
        for microsecond in (1, 7, 999, 1000, 123_455, 123_456, 500_000, 654_321, 999_998, 999_999):
            clock.move_to(begin + timedelta(microseconds=microsecond))
            assert asked(alias) == begin + timedelta(microseconds=microsecond)
