"""Django's system checks of regions: what in ``REGIONS`` of the settings could not be used. No server is asked."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from fieldstone import conf
from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.backends import BACKENDS, backend_class
from fieldstone.kvs.options import Options, lowered
from fieldstone.kvs.region import Region
from fieldstone.kvs.regions import Regions
from fieldstone.kvs.serializers import SignedPickleSerializer

_APP = "fieldstone.kvs"
_OF_REGIONS = {"key_mangler", "proxy_list", "locking"}  # of Region.configure, beside the Options


def check_regions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Whether each region can be configured."""
    fieldstone = getattr(settings, "FIELDSTONE", {})
    given = fieldstone.get("REGIONS", {}) if isinstance(fieldstone, Mapping) else fieldstone
    if not isinstance(given, Mapping):
        return list(_no_dict("REGIONS of FIELDSTONE", given))
    return [message for name, configuration in _configurations() for message in _of_region(name, configuration)]


def check_deployed_regions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What does for one's own machine, and hardly for a site: only for ``check --deploy``."""
    return [
        message
        for name, configuration in _configurations()
        if not list(_of_region(name, configuration))
        for message in _deployed(name)
    ]


def _configurations() -> list[tuple[str, Any]]:
    """None if that is not even a dict, which ``check_regions`` says."""
    try:
        given: Any = conf.regions()
    except (AttributeError, TypeError, ValueError):
        return []
    return sorted(given.items(), key=lambda item: str(item[0]))


def _of_region(name: str, configuration: Any) -> Iterator[CheckMessage]:
    if not isinstance(configuration, Mapping):
        yield from _no_dict(f"REGIONS[{name!r}]", configuration)
        return
    arguments = lowered(configuration)
    store = arguments.get("backend", "memory")
    if _is_database(store) and not apps.is_installed(_APP):
        yield Error(
            f"Region {name!r} is kept in the database, and the app that has its table is not installed.",
            hint=f"Add {_APP!r} to INSTALLED_APPS, and run manage.py migrate.",
            id="fieldstone_kvs.E204",
        )
        return
    strangers = list(_unknown(name, store, arguments))
    yield from strangers or _configured(name)


def _no_dict(what: str, given: object) -> Iterator[CheckMessage]:
    yield Error(
        f"{what} is of type {type(given).__name__}, and not a dict.",
        hint='Write FIELDSTONE = {"REGIONS": {"name": {"BACKEND": "memory"}}}.',
        id="fieldstone_kvs.E201",
    )


def _is_database(store: Any) -> bool:
    path = {**BACKENDS, **conf.region_backends()}.get(store, store) if isinstance(store, str) else store
    return bool(path == BACKENDS["database"])


def _unknown(name: str, store: Any, arguments: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Options that neither regions nor this backend have; none if it cannot be told."""
    try:
        own = inspect.signature(backend_class(store)).parameters.values()
    except (ValueError, ImportError):  # said when it is configured
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
        return
    known = {parameter.name for parameter in own if parameter.kind is parameter.KEYWORD_ONLY}
    known |= {"backend", *_OF_REGIONS, *(field.name for field in dataclasses.fields(Options))}
    for option in sorted(arguments.keys() - known):
        close = get_close_matches(option, known, n=1)
        others = ", ".join(sorted(known)).upper()
        yield Error(
            f"Region {name!r} has no option {option.upper()!r} on backend {store!r}.",
            hint=f"Did you mean {close[0].upper()!r}?" if close else f"Take it out. There are {others}.",
            id="fieldstone_kvs.E202",
        )


def _configured(name: str) -> Iterator[CheckMessage]:
    try:
        _tried(name)
    except (RegionConfigurationError, TypeError, ImportError) as error:
        if isinstance(error.__cause__, ImportError):
            yield Error(
                f"{error}",
                hint="Install what is missing, or give the region another BACKEND.",
                id="fieldstone_kvs.E203",
            )
        else:
            reason = str(error) if isinstance(error, RegionConfigurationError) else f"Region {name!r}: {error}"
            yield Error(
                reason,
                hint=f"Correct it in REGIONS[{name!r}] of FIELDSTONE (docs/reference/settings.md).",
                id="fieldstone_kvs.E205",
            )


def _tried(name: str) -> Region:
    """One that nobody else has, configured by the settings. Raises what ``Region.configure`` does."""
    region = Regions()[name]
    region.backend.close()
    return region


def _deployed(name: str) -> Iterator[CheckMessage]:
    region = _tried(name)
    if not region.abilities.shared:
        yield Warning(
            f"Region {name!r} is kept in the memory of each process: of several each has values, and locks, of its"
            " own.",
            hint="Give it another BACKEND, or silence this check if the site is one process, or does without.",
            id="fieldstone_kvs.W206",
        )
    serializer = lowered(conf.regions()[name]).get("serializer")
    if serializer == "pickle" or isinstance(serializer, SignedPickleSerializer):
        yield Warning(
            f"Region {name!r} keeps pickles: who learns SECRET_KEY and can write to its server runs code here.",
            hint="Use msgpack or json, or silence this check where values have to be Python's own objects.",
            id="fieldstone_kvs.W207",
        )
