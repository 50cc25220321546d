"""How a class says which store it tests, and the fixtures of the suite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from opaque_keys.edx.keys import LearningContextKey

from fieldstone.store import Store
from fieldstone.store.usages import forget_all
from fieldstone.testing.clock import Clock, frozen
from fieldstone.testing.contracts.stores.samples import NEW_YEAR


class OnStores:
    """A class of tests that says on which store, by its ``make_store``.

    Each test begins with nothing stored: of Django's databases pytest-django sees to that. A store that keeps
    anything elsewhere empties it there.
    """

    def make_store(self) -> Store:
        """The store. It is made more than once in a test, and each sees what the others have saved.

        ``store.using`` is the alias whose transactions its saves are part of. The time that it gives a save is
        that of the process, as ``timezone.now`` has it: the tests set that.
        """
        pytest.fail(
            f"{type(self).__name__} says no store to test. Give the class the method\n\n"
            "    def make_store(self):\n"
            '        return MyStore("default")',
            pytrace=False,
        )

    def make_learner(self, store: Store) -> int:
        """The primary key of a learner that no test has met, of whom nothing is stored; later ones are greater."""
        users = get_user_model()
        name = uuid.uuid4().hex[:20]
        user = users._default_manager.db_manager(store.using).create(**{users.USERNAME_FIELD: name})
        return int(user.pk)

    def check_stored(self, store: Store, context: LearningContextKey) -> None:
        """Whatever else has to be so after any sequence of calls: of a store that can check its own tables.

        There are states of the context, and nobody saves. Raises ``AssertionError``.
        """

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        forget_all()  # of stores made of Fieldstone's own: what an earlier test met is not there
        yield self.make_store()
        forget_all()

    @pytest.fixture
    def learner(self, store: Store) -> int:
        return self.make_learner(store)

    @pytest.fixture
    def another(self, store: Store, learner: int) -> int:
        """Another learner."""
        return self.make_learner(store)

    @pytest.fixture
    def clock(self) -> Iterator[Clock]:
        """Time, which stands still at New Year until a test moves it."""
        with frozen(NEW_YEAR) as clock:
            yield clock

    @pytest.fixture
    def racing(self, store: Store) -> Store:
        """The store, where other connections see what is saved: not in a test's own transaction, nor in memory."""
        connection: Any = connections[store.using]
        if connection.in_atomic_block:
            pytest.skip("a race takes several connections: mark the class with django_db(transaction=True)")
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            pytest.skip("a race takes several connections: give the database a file, by TEST['NAME']")
        return store
