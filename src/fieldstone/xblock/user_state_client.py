"""``DjangoXBlockUserStateClient``: learner state by username, for code that has no block at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from opaque_keys.edx.keys import BlockTypeKey, LearningContextKey
from xblock.fields import Scope

from fieldstone.errors import InvalidPlaceError
from fieldstone.store.places import Place, Preferences, Summary, UserInfo, key_text
from fieldstone.store.states import State
from fieldstone.store.store import Store
from fieldstone.values import DELETED
from fieldstone.xblock.scopes import LEARNER_SCOPES
from fieldstone.xblock.user_state import (
    NothingThereError,
    UnavailableError,
    UnsupportedScopeError,
    XBlockUserState,
)
from fieldstone.xblock.usernames import find_user, usernames

BATCH = 1000
"""Rows whose usernames are looked up together."""


class DjangoXBlockUserStateClient:
    """Reads and writes what users have stored at blocks, in any learner scope.

    ``block_key`` is by scope: a usage key (``user_state``, ``user_state_summary``), a block type, as text or as a
    ``BlockTypeKey`` (``preferences``), or ``None`` (``user_info``). Fields of ``user_state_summary`` are nobody's:
    there the username is not looked at.

    Of a name that no user has nothing is found, and a write raises the user model's ``DoesNotExist``. A state
    without fields is not there. Raises ``ServiceUnavailable`` when the database does not serve, and
    ``UnsupportedScopeError`` for other scopes; other errors are those of ``Store.read`` and ``Store.save``.

    ``user`` spares the query that finds the user of that name; other names are welcome all the same. ``using`` is
    as for ``Store``, and says nothing of the users: those are looked up where Django's routers say.
    """

    DoesNotExist = NothingThereError
    PermissionDenied = DjangoPermissionDenied
    """For callers that catch it. Who may ask is for the caller to say: nothing here raises it."""
    ServiceUnavailable = UnavailableError

    def __init__(self, user: Any = None, *, using: str | None = None) -> None:
        self._user = user
        self._store = Store(using)

    # Reading

    def get(
        self, username: str, block_key: Any, scope: Scope = Scope.user_state, fields: Iterable[str] | None = None
    ) -> XBlockUserState:
        """What is stored at one block, or those of these fields that are. Raises ``DoesNotExist``."""
        for found in self.get_many(username, [block_key], scope, fields):
            return found
        raise self.DoesNotExist(username, block_key, scope)

    def get_many(
        self,
        username: str,
        block_keys: Iterable[Any],
        scope: Scope = Scope.user_state,
        fields: Iterable[str] | None = None,
    ) -> Iterator[XBlockUserState]:
        """What is stored at each of these blocks, in their order and in one query.

        Those where nothing is stored are left out.
        """
        places = [(block_key, _place(block_key, scope)) for block_key in block_keys]
        names = None if fields is None else list(fields)
        with _serving():
            learner_id = self._find(username, scope)
            unknown = learner_id is None and scope != Scope.user_state_summary
            if unknown or not places:
                return iter(())
            states = self._store.read(learner_id, [place for _, place in places])
        stored = ((block_key, states.get(place)) for block_key, place in places)
        return (_found(username, key, state, scope, names) for key, state in stored if state and state.fields)

    # Writing

    def set(
        self, username: str, block_key: Any, state: Mapping[str, Any], scope: Scope = Scope.user_state
    ) -> None:
        """``set_many`` of one block."""
        self.set_many(username, {block_key: state}, scope)

    def set_many(
        self, username: str, block_keys_to_state: Mapping[Any, Mapping[str, Any]], scope: Scope = Scope.user_state
    ) -> None:
        """Lay fields over what is stored, at all of these blocks or, with an error, at none."""
        changes: dict[Place, dict[str, Any]] = {}
        for block_key, state in block_keys_to_state.items():
            changes.setdefault(_place(block_key, scope), {}).update(state)
        with _serving():
            self._save(self._the_user(username, scope), changes)

    def delete(
        self, username: str, block_key: Any, scope: Scope = Scope.user_state, fields: Iterable[str] | None = None
    ) -> None:
        """``delete_many`` of one block."""
        self.delete_many(username, [block_key], scope, fields)

    def delete_many(
        self,
        username: str,
        block_keys: Iterable[Any],
        scope: Scope = Scope.user_state,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete these fields, or all, at all of these blocks or, with an error, at none.

        What is not stored stays unwritten. A field that another saves for the first time while all are deleted
        stays, as if it had been saved after.
        """
        places = [_place(block_key, scope) for block_key in block_keys]
        names = None if fields is None else set(fields)
        with _serving():
            learner_id = self._the_user(username, scope)
            if not places:
                return
            # Where saves go: a replica may not have what was saved just now.
            states = Store(self._store.using).read(learner_id, places)
            self._save(
                learner_id,
                {
                    place: dict.fromkeys(state.fields if names is None else names & state.fields.keys(), DELETED)
                    for place, state in states.items()
                },
            )

    def _save(self, learner_id: int | None, changes: Mapping[Place, Mapping[str, Any]]) -> None:
        if any(changes.values()):
            self._store.save(learner_id, changes)

    # History

    def get_history(
        self, username: str, block_key: Any, scope: Scope = Scope.user_state
    ) -> Iterator[XBlockUserState]:
        """What was stored at a block after each save that is kept, latest first, in as many queries as ``get``.

        Raises ``DoesNotExist`` at the call; ``DamagedHistoryError`` as ``Store.states`` does.
        """
        if scope != Scope.user_state:
            raise UnsupportedScopeError(
                scope, "history is kept of user_state alone; get() gives what is stored now, and since when."
            )
        with _serving():
            learner_id = self._find(username, scope)
            states = [] if learner_id is None else self._store.states(learner_id, block_key)
        if not states:
            raise self.DoesNotExist(username, block_key, scope)
        return (
            XBlockUserState(username, block_key, state.fields.as_dict() or None, state.modified, scope)
            for state in states
        )

    # Every user's

    def iter_all_for_block(self, block_key: Any, scope: Scope = Scope.user_state) -> Iterator[XBlockUserState]:
        """What every user has stored at a block, in constant memory; queries go by the thousand rows."""
        place = _place(block_key, scope)
        rows: Iterator[_Row]
        if isinstance(place, Summary):
            rows = (_Row(None, block_key, state) for state in self._read_summary(place))
        elif isinstance(place, Preferences | UserInfo):
            rows = (_Row(row.learner_id, block_key, row.state) for row in self._store.scan_fields(place))
        else:
            rows = (_Row(row.learner_id, block_key, row.state) for row in self._store.scan(usage_key=place))
        return _named(rows, scope)

    def iter_all_for_course(
        self, course_key: LearningContextKey, block_type: str | None = None, scope: Scope = Scope.user_state
    ) -> Iterator[XBlockUserState]:
        """What every user has stored at the blocks of a course, or at those of one type; otherwise the same."""
        rows: Iterator[_Row]
        if scope == Scope.user_state:
            states = self._store.scan(context=course_key, block_type=block_type)
            rows = (_Row(row.learner_id, row.usage_key, row.state) for row in states)
        elif scope == Scope.user_state_summary:
            summaries = self._store.scan_summaries(course_key, block_type=block_type)
            rows = (_Row(None, row.usage_key, row.state) for row in summaries)
        elif scope in LEARNER_SCOPES:
            raise UnsupportedScopeError(
                scope, "its fields belong to no course; iter_all_for_block(block_type, scope), None for user_info."
            )
        else:
            raise _not_a_learners(scope)
        return _named(rows, scope)

    def _read_summary(self, place: Summary) -> Iterator[State]:
        yield from self._store.read(None, [place]).values()

    # Users

    def _find(self, username: str, scope: Scope) -> int | None:
        """The id of the user whose state it is; ``None`` when there is no such user, and for summaries."""
        if scope == Scope.user_state_summary:
            return None
        if self._user is not None and self._user.get_username() == username:
            learner_id: int = self._user.pk
            return learner_id
        return find_user(username)

    def _the_user(self, username: str, scope: Scope) -> int | None:
        learner_id = self._find(username, scope)
        if learner_id is None and scope != Scope.user_state_summary:
            raise get_user_model().DoesNotExist(
                f"There is no user {username!r} to write for: nothing was written. Make the account first."
            )
        return learner_id


class _Row(NamedTuple):
    learner_id: int | None
    block_key: Any
    state: State


def _named(rows: Iterator[_Row], scope: Scope) -> Iterator[XBlockUserState]:
    """The rows that have fields, with the names of their users, which are looked up a batch at a time."""
    stored = (row for row in rows if row.state.fields)
    with _serving():
        while batch := list(islice(stored, BATCH)):
            names = usernames({row.learner_id for row in batch if row.learner_id is not None})
            for learner_id, block_key, state in batch:
                username = None if learner_id is None else names.get(learner_id)
                yield _found(username, block_key, state, scope, None)


def _found(
    username: str | None, block_key: Any, state: State, scope: Scope, names: list[str] | None
) -> XBlockUserState:
    if names is None:
        return XBlockUserState(username, block_key, state.fields.as_dict(), state.modified, scope)
    fields = {name: state.fields[name] for name in names if name in state.fields}
    times = state.times or {}  # in user_state one for all fields
    updated = max((times[name] for name in fields if name in times), default=state.modified)
    return XBlockUserState(username, block_key, fields, updated, scope)


def _place(block_key: Any, scope: Scope) -> Place:
    """The place that a key of this scope names."""
    if scope in (Scope.user_state, Scope.user_state_summary):
        key_text(block_key)  # looks at it now, and not when the first row is asked for
        place: Place = block_key if scope == Scope.user_state else Summary(block_key)
        return place
    if scope == Scope.preferences:
        if not isinstance(block_key, str | BlockTypeKey):
            raise InvalidPlaceError(f"Preferences are of a block type, as text or key, not of {block_key!r}.")
        return Preferences(str(block_key))
    if scope == Scope.user_info:
        if block_key is not None:
            raise InvalidPlaceError(f"The block key of user_info is None, not {block_key!r}: it is of no block.")
        return UserInfo()
    raise _not_a_learners(scope)


def _not_a_learners(scope: Any) -> UnsupportedScopeError:
    names = ", ".join(scope.name for scope in LEARNER_SCOPES)
    return UnsupportedScopeError(scope, f"no state of a learner is in this scope. Those that have some: {names}.")


@contextmanager
def _serving() -> Iterator[None]:
    """The door where the database's errors are told from other faults."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise UnavailableError(error) from error
