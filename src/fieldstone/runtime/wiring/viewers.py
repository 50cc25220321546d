"""Who is looking at a course, and where their fields are kept.

| user       | mode      | learner scopes go to                                                    |
|------------|-----------|-------------------------------------------------------------------------|
| none       | any       | nothing: any access to a learner field raises ``NobodyError``           |
| anonymous  | any       | the region ``visitors``, by the visitor's session                       |
| registered | PREVIEW   | the region ``previews``, by author and course                           |
| registered | PERSISTED | the store                                                               |
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from threading import Lock
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import salted_hmac
from opaque_keys.edx.keys import CourseKey
from xblock.core import XBlock
from xblock.runtime import KeyValueStore

from fieldstone import conf
from fieldstone.kvs import Region, regions
from fieldstone.runtime.wiring.ephemeral import EphemeralStore
from fieldstone.runtime.wiring.errors import NobodyError
from fieldstone.xblock.field_data_cache import FieldDataCache

VISITORS, PREVIEWS = "visitors", "previews"
"""The names of the regions in the settings; where they name none, it is the memory of this process."""

DAY = 24 * 60 * 60

_IN_SESSION = "fieldstone_visitor"


class Mode(enum.Enum):
    """Whether what a registered user does is to last."""

    PERSISTED = "persisted"
    PREVIEW = "preview"


@dataclass(frozen=True)
class Viewer:
    """A user, ``AnonymousUser`` with a session, or nobody (``None``), and the mode."""

    user: Any
    session: SessionBase | None = None
    mode: Mode = Mode.PERSISTED

    @property
    def is_author(self) -> bool:
        """Is this the preview of an author?"""
        return self.mode is Mode.PREVIEW and self.has_account

    @property
    def is_persisted(self) -> bool:
        """Is what is done kept in the store, with its history?"""
        return self.has_account and self.mode is Mode.PERSISTED

    @property
    def has_account(self) -> bool:
        return self.user is not None and bool(self.user.is_authenticated)

    def fields(self, course_key: CourseKey, asides: Iterable[str], origin: str) -> FieldDataCache:
        """The viewer's fields in a course."""
        if self.user is None:
            return NobodysFields([], course_key, ANONYMOUS, asides=asides, origin=origin)
        backing = None
        if not self.has_account:
            backing = visitors_store(self.session)
        elif self.mode is Mode.PREVIEW:
            backing = self.preview_store("preview", course_key)
        return FieldDataCache([], course_key, self.user, asides=asides, origin=origin, backing=backing)

    def preview_store(self, what: str, course_key: CourseKey) -> EphemeralStore:
        """What an author's preview keeps: ``preview`` what they do as a learner, ``draft`` what they edit."""
        # A digest: of a course's key not every region can make a name.
        owner = f"{what}:{self.user.pk}:{sha256(str(course_key).encode()).hexdigest()[:32]}"
        return EphemeralStore(region_of(PREVIEWS), owner, ttl=DAY)

    def pseudonym(self, course: str) -> str:
        """An id of a visitor in a course that lasts as their session does; of all who have none, the same."""
        visitor = None if self.session is None else visitor_of(self.session)
        return salted_hmac("fieldstone.visitor", f"{visitor}/{course}").hexdigest()[:32]


class _Anonymous:
    """Django's ``AnonymousUser``, which cannot be imported before there are models."""

    pk = None
    is_authenticated = is_staff = is_superuser = False


ANONYMOUS = _Anonymous()


class NobodysFields(FieldDataCache):
    """Has no fields, and says so to whoever asks."""

    def add_blocks_to_cache(self, blocks: Iterable[XBlock]) -> None:
        """Nothing is fetched."""

    def get(self, key: KeyValueStore.Key) -> Any:
        raise NobodyError

    def has(self, key: KeyValueStore.Key) -> bool:
        raise NobodyError

    def last_modified(self, key: KeyValueStore.Key) -> Any:
        raise NobodyError

    def set_many(self, kv_dict: Any) -> None:
        raise NobodyError


def visitors_store(session: SessionBase | None) -> EphemeralStore:
    """What is kept of a visitor, for as long as their session; of a session without a visit, nobody's."""
    visitor = None if session is None else visitor_of(session)
    owner = None if visitor is None else f"visitor:{visitor}"
    return EphemeralStore(region_of(VISITORS), owner, ttl=settings.SESSION_COOKIE_AGE)


def begin_visit(session: SessionBase) -> None:
    """Give the session what its visitor is known by: not its own key, which Django changes at a login.

    A page does this, before its blocks can save. A handler does not: a learner whose session has ended would be
    taken for a new visitor, and told that an answer is saved which is nobody's. Without a visit it is refused
    (``NobodyError``), and the page that is loaded again shows who they are.
    """
    if _IN_SESSION not in session:
        session[_IN_SESSION] = uuid4().hex


def end_visit(session: SessionBase) -> None:
    """Forget who the session's visitor was."""
    session.pop(_IN_SESSION, None)


def visitor_of(session: SessionBase) -> str | None:
    """What the session's visitor is known by; ``None`` where nothing was kept."""
    visitor: str | None = session.get(_IN_SESSION)
    return visitor


def region_of(name: str) -> Region:
    """The region of this name: the settings' one, or one in the memory of this process."""
    if name in conf.regions():
        return regions[name]
    with _making:  # two threads at once would each make one, and what is kept in the one is not in the other
        return _in_memory(name)


_making = Lock()


@cache
def _in_memory(name: str) -> Region:
    return Region(name).configure("memory", serializer="json")
