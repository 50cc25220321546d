"""Which services there are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.utils.module_loading import import_string

from fieldstone import conf
from fieldstone.runtime.sandbox import SandboxService
from fieldstone.runtime.services.cache import blocks_cache
from fieldstone.runtime.services.completion import CompletionService
from fieldstone.runtime.services.files import FilesService
from fieldstone.runtime.services.host import Host
from fieldstone.runtime.services.i18n import I18nService
from fieldstone.runtime.services.lookup import PerBlock
from fieldstone.runtime.services.rebind import RebindUserService
from fieldstone.runtime.services.replace_urls import ReplaceUrlsService
from fieldstone.runtime.services.site_settings import SettingsService
from fieldstone.runtime.services.user import UserService
from fieldstone.runtime.services.video_config import VideoConfigService
from fieldstone.runtime.services.xqueue import service_of

BUILT_IN: dict[str, Callable[[Host], Any]] = {
    "cache": lambda host: blocks_cache(),
    "completion": CompletionService,
    "fs": FilesService,
    "i18n": lambda host: PerBlock(I18nService),
    "rebind_user": RebindUserService,
    "replace_urls": lambda host: ReplaceUrlsService(host.course, host.urls.asset, host.urls.jump),
    "sandbox": lambda host: SandboxService(host.course),
    "settings": lambda host: SettingsService(),
    "user": UserService,
    "video_config": lambda host: VideoConfigService(host.course),
    "xqueue": lambda host: PerBlock(partial(service_of, host)),
}
"""Name to what makes the service of a runtime."""

WIRED = "field-data"
"""The service that the runtime wires itself."""


def services_for(host: Host) -> dict[str, Any]:
    """Every service of a runtime by name, but ``field-data``, which the runtime wires itself.

    ``SERVICES`` of the settings adds to them and may replace them. Asks no database and makes no file.
    """
    services = {name: make(host) for name, make in BUILT_IN.items()}
    return services | {name: site_service(path)(host) for name, path in conf.services().items()}


def service_names() -> frozenset[str]:
    """The services that this site provides."""
    return frozenset({WIRED, *BUILT_IN, *conf.services()})


def site_service(path: str) -> Callable[[Host], Any]:
    """What makes a site's own service of a runtime. Raises ``ImportError``; ``TypeError`` for no callable."""
    make: Callable[[Host], Any] = import_string(path)
    if not callable(make):
        raise TypeError(f"{path} has to be a callable that takes the runtime, not {type(make).__name__}.")
    return make
