"""Learners with sessions: signed in as Django's ``login`` does it, so the server needs no door for the test."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model

BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Person:
    """A learner who is signed in."""

    learner_id: int
    session: str  # the value of the cookie
    drawn: random.Random  # what they choose, and how long they think


def enrol(count: int, seed: int) -> list[Person]:
    """So many new accounts, each with a session in the server's own store of sessions."""
    accounts = get_user_model()._default_manager
    sessions = import_module(settings.SESSION_ENGINE)
    people = []
    for number in range(count):
        user = accounts.create_user(f"learner-{number:04}")
        session = sessions.SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = BACKEND
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        people.append(Person(user.pk, session.session_key, random.Random(f"{seed}/{number}")))
    return people
