"""Races as a database user that may do little: what still works, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from django.db import connections, transaction
from django.db.models import F

from fieldstone.testing.races import RaceError, RaceFound, race
from tests.testing.blog.models import Author, Counter, Post
from tests.testing.conftest import on_engines

each_engine = on_engines(transaction=True)

CREATE = {
    "postgresql": [
        "CREATE ROLE racer LOGIN NOSUPERUSER PASSWORD 'racer'",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO racer",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO racer",
    ],
    "mysql": ["CREATE USER racer@'%%' IDENTIFIED BY 'racer'", "GRANT ALL ON `{name}`.* TO racer@'%%'"],
}
DROP = {"postgresql": ["DROP OWNED BY racer", "DROP ROLE racer"], "mysql": ["DROP USER racer@'%%'"]}


def do(alias: str, statements: list[str]) -> None:
    with connections[alias].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql.replace("{name}", connections[alias].settings_dict["NAME"]).replace("%%", "%"))


@pytest.fixture
def racer(alias: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All connections of the test are those of a user without any privilege of the server's."""
    connection = connections[alias]
    if connection.vendor not in CREATE:
        pytest.skip("SQLite has no users")
    do(alias, CREATE[connection.vendor])
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "USER", "racer")
        patch.setitem(connection.settings_dict, "PASSWORD", "racer")
        connection.close()
        yield alias
    connection.close()
    do(alias, DROP[connection.vendor])


@each_engine
def test_what_needs_a_privilege_is_named_or_done_without(alias, racer):
    """PostgreSQL takes its own time for a deadlock, and defers foreign keys; MariaDB has to be asked who waits."""
    author = Author.objects.using(alias).create(name="ada")
    Post.objects.using(alias).create(author=author, slug="x")
    Counter.objects.using(alias).bulk_create([Counter(name="x"), Counter(name="y")])

    def both(*names: str) -> None:
        with transaction.atomic(alias):
            for name in names:
                Counter.objects.using(alias).filter(name=name).update(count=F("count") + 1)

    if alias == "mariadb":
        with pytest.raises(RaceError, match=r"GRANT PROCESS ON \*\.\* TO 'racer';") as caught:
            race(partial(both, "x", "y"), partial(both, "y", "x"), using=alias)
        assert "may not see who waits for a lock: SHOW ENGINE INNODB STATUS is denied." in str(caught.value)
        return
    with pytest.raises(RaceFound, match="deadlock: 1"):
        race(partial(both, "x", "y"), partial(both, "y", "x"), using=alias, order="abab")
    delete = Author.objects.using(alias).filter(name="ada").delete
    race(delete, partial(both, "x"), using=alias, limit=3)
    assert Post.objects.using(alias).get().author == author
