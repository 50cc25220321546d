"""System checks of the settings that services read. Nothing outside is asked."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error

from fieldstone import conf
from fieldstone.runtime.services.provided import site_service

_XQUEUE = frozenset({"URL", "CALLBACK", "USERNAME", "PASSWORD", "BASIC_AUTH", "QUEUE", "WAIT_SECONDS"})


def check_services(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Can a site's own services be made, and the external grader be reached by what is set?"""
    try:
        services, xqueue = conf.services(), conf.xqueue()
    except (AttributeError, TypeError, ValueError):
        return []  # no dict where one is wanted: the check of settings says so
    return [*_of_services(services), *(_of_xqueue(xqueue) if xqueue is not None else ())]


def _of_services(services: Any) -> Iterator[CheckMessage]:
    for name, path in services.items():
        try:
            site_service(path)
        except Exception as error:  # whatever the module's own import raises
            yield Error(
                f"The service {name!r} cannot be made: {type(error).__name__}: {error}",
                hint='SERVICES wants paths of callables that take the runtime: {"teams": "site.teams.service"}.',
                id="fieldstone_runtime.E311",
            )


def _of_xqueue(xqueue: dict[str, Any]) -> Iterator[CheckMessage]:
    for name in sorted(map(str, xqueue.keys() - _XQUEUE)):
        near = get_close_matches(name.upper(), _XQUEUE, n=1)
        yield Error(
            f"XQUEUE has {name!r}, which nothing reads.",
            hint=f"{near[0]!r} is near it." if near else f"It may have {', '.join(sorted(_XQUEUE))}.",
            id="fieldstone_runtime.E312",
        )
    for name in ("URL", "CALLBACK"):
        address = urlsplit(str(xqueue.get(name, "")))
        if address.scheme not in {"http", "https"} or not address.netloc:
            yield Error(
                f"XQUEUE wants in {name!r} an address with its scheme and host.",
                hint='{"URL": "https://xqueue.example.org", "CALLBACK": "https://courses.example.org"}: the '
                "grader's, and this site's as the grader reaches it.",
                id="fieldstone_runtime.E313",
            )
