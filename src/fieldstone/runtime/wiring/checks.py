"""System checks of where visitors' state goes, and of the asides that blocks are to have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from xblock.core import XBlockAside

from fieldstone import conf
from fieldstone.runtime.wiring.viewers import PREVIEWS, VISITORS

_IN_SETTINGS = (
    f'"REGIONS": {{"{VISITORS}": {{"BACKEND": "database"}}, "{PREVIEWS}": {{"BACKEND": "database"}}}} in '
    'FIELDSTONE, or "redis" with its URL. Silence this check if the site is one process, or has no visitors.'
)


def check_asides(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Can all of ``ASIDES`` be loaded?"""
    try:
        aside_types = conf.asides()
    except (AttributeError, TypeError, ValueError):
        return []  # nothing that a list could be made of: the check of settings says so
    return list(_of_asides(aside_types))


def _of_asides(aside_types: Any) -> Iterator[CheckMessage]:
    for aside_type in aside_types:
        try:
            XBlockAside.load_class(aside_type)
        except Exception as error:  # whatever the package's own import raises
            yield Error(
                f"The aside {aside_type!r} of ASIDES cannot be loaded: {type(error).__name__}: {error}",
                hint="`manage.py fieldstone_block` lists the asides that are installed.",
                id="fieldstone_runtime.E321",
            )


def check_ephemeral_regions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """For deployment: are there regions for what visitors and previews do? Those in memory have a check."""
    try:
        regions = conf.regions()
    except (AttributeError, TypeError, ValueError):
        return []  # no dict where one is wanted: the checks of settings and of regions say so
    missing = [name for name in (VISITORS, PREVIEWS) if name not in regions]
    if not missing:
        return []
    return [
        Warning(
            f"There is no region {' or '.join(map(repr, missing))}: what visitors do, or authors in previews,"
            " is in the memory of each process, and lost with it.",
            hint=_IN_SETTINGS,
            id="fieldstone_runtime.W322",
        )
    ]
