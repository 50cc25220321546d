"""Checks of the settings alone."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from fieldstone.conf import TYPES


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_fieldstone(), *_time_zone()]


def _fieldstone() -> Iterator[CheckMessage]:
    given = getattr(settings, "FIELDSTONE", {})
    if not isinstance(given, dict):
        yield Error(
            f"FIELDSTONE is {_a(given)}, and not a dict.",
            hint='Write FIELDSTONE = {"NAME": value, ...} in the settings.',
            id="fieldstone_store.E101",
        )
        return
    for name, value in given.items():
        if name not in TYPES:
            close = get_close_matches(str(name).upper(), TYPES, n=1)
            yield Error(
                f"FIELDSTONE has no setting {name!r}.",
                hint=f"Did you mean {close[0]!r}?" if close else f"Take it out. There are {', '.join(TYPES)}.",
                id="fieldstone_store.E102",
            )
        # A bool is an int to Python, and a slip of the pen here.
        elif not isinstance(value, TYPES[name]) or (
            isinstance(value, bool) and bool not in (get_args(TYPES[name]) or [TYPES[name]])
        ):
            yield Error(
                f"FIELDSTONE[{name!r}] is {_a(value)}, and wants to be {_named(TYPES[name])}.",
                hint=f"The present value is {value!r}: change it, or take the setting out for its default.",
                id="fieldstone_store.E103",
            )


def _time_zone() -> Iterator[CheckMessage]:
    # Moments without their zone are told apart nowhere in that hour: not by the drivers, nor in the tables.
    if not settings.USE_TZ and settings.TIME_ZONE != "UTC":
        yield Warning(
            f"USE_TZ is False and TIME_ZONE {settings.TIME_ZONE}: in the hour that comes twice when summer "
            "time ends, times of saves may be an hour wrong.",
            hint="Set USE_TZ to True, or TIME_ZONE to UTC.",
            id="fieldstone_store.W104",
        )


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
