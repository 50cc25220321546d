"""Moments as tests write them, and which point of time they mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.utils import timezone

__tracebackhide__ = True  # pytest: errors are shown at the line of the test

Moment = datetime | date | str
"""A datetime, a date (its midnight), or the ISO text of either. Without a time zone it is Django's current one.

Where ``USE_TZ`` is off that is the process' own time zone, which Django makes ``TIME_ZONE``, as for
``timezone.now()``. Where Django has no settings it is UTC.
"""

GIVE = 'Give a datetime, a date, or ISO text such as "2026-03-01", "2026-03-01 12:00" or "2026-03-01T12:00+02:00".'


def read(moment: object) -> datetime:
    """As a datetime, aware only if the moment names a time zone; needs no settings.

    Raises ``ValueError`` for a text that is none, and ``TypeError`` for all that is no ``Moment``.
    """
    if isinstance(moment, datetime):
        return moment
    if isinstance(moment, date):
        return datetime.combine(moment, time())
    if isinstance(moment, str):
        try:
            return datetime.fromisoformat(moment)
        except ValueError as error:
            raise ValueError(f"{moment!r} is not a moment: {error}. {GIVE}") from None
    hint = " To go some way from now: clock.move(days=1)." if isinstance(moment, timedelta) else ""
    raise TypeError(f"{moment!r} is not a moment, but of type {type(moment).__name__}. {GIVE}{hint}")


def aware(moment: datetime) -> datetime:
    """With the time zone that a naive one means."""
    if timezone.is_aware(moment):
        return moment
    if not settings.configured:
        return moment.replace(tzinfo=UTC)
    return timezone.make_aware(moment) if settings.USE_TZ else moment.astimezone()


def local(moment: datetime) -> datetime:
    """An aware one in the time zone that naive ones mean."""
    if not settings.configured:
        return moment.astimezone(UTC)
    return timezone.localtime(moment) if settings.USE_TZ else moment.astimezone()
