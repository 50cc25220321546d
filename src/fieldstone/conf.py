"""One typed function per setting, read when it is called. Settings live in ``settings.FIELDSTONE``, a dict."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import ENVIRONMENT_VARIABLE, settings

TYPES: dict[str, Any] = {  # for isinstance(); the system checks look at it
    "COURSE": str | Path | None,
    "COURSE_CACHE": str | Path | None,
    "ASIDES": list | tuple,
    "BLOCK_ALIASES": dict,
    "BLOCK_SETTINGS": dict,
    "COURSE_STAFF": bool,
    "SERVICES": dict,
    "XQUEUE": dict | None,
    "SANDBOX": bool | dict | None,
    "LEARNER_SWITCHER": bool,
    "MAX_UPLOAD_BYTES": int,
    "MAX_VALUE_BYTES": int,
    "HISTORY_REVISIONS": int | None,
    "HISTORY_DAYS": int | None,
    "REGIONS": dict,
    "REGION_BACKENDS": dict,
    "KEY_MANGLING": bool,
    "LOCK_TIMEOUT": int | float,
    "JOBS_OVERLAP": str,
    "JOB_KINDS": list | tuple,
    "JOB_LEASE_SECONDS": int | float,
    "JOBS_FOLDER": str | Path | None,
    "KEYSTONE_BACKENDS": list | tuple,
    "KEYSTONE_CONFIG_PREFIX": str,
}


def _setting(name: str, default: Any) -> Any:
    if not settings.configured and ENVIRONMENT_VARIABLE not in os.environ:
        return default  # regions can be used without Django
    return getattr(settings, "FIELDSTONE", {}).get(name, default)


def course_folder() -> Path | None:
    """``COURSE``: the course in OLX that the workbench opens, a folder or archive; ``None`` when none is set."""
    folder = _setting("COURSE", None)
    return Path(folder) if folder else None


def course_cache() -> Path | None:
    """``COURSE_CACHE``: where what was read of courses is kept; ``None``: a folder of this user's in ``/tmp``."""
    folder = _setting("COURSE_CACHE", None)
    return Path(folder) if folder else None


def asides() -> Sequence[str]:
    """``ASIDES``: the types of XBlock asides that stand beside the site's blocks; none by default."""
    return tuple(_setting("ASIDES", ()))


def max_upload_bytes() -> int:
    """``MAX_UPLOAD_BYTES``: how long a request to a handler may be, files included; 50 MiB by default."""
    return int(_setting("MAX_UPLOAD_BYTES", 50 * 1024 * 1024))


def block_aliases() -> dict[str, str]:
    """``BLOCK_ALIASES``: OLX tag to the entry point that serves it, beyond the defaults.

    The blocks extracted from Open edX are published under names such as ``_problem_extracted``; the defaults
    map ``problem`` and its siblings to them.
    """
    return dict(_setting("BLOCK_ALIASES", {}))


def block_settings() -> Mapping[str, Any]:
    """``BLOCK_SETTINGS``: a ``block_settings_key``, or a class's name, to what the service gives such blocks."""
    return dict(_setting("BLOCK_SETTINGS", {}))


def course_staff() -> bool:
    """``COURSE_STAFF``: is Django's staff the blocks' staff on learners' pages too? ``False`` by default."""
    return bool(_setting("COURSE_STAFF", False))


def services() -> Mapping[str, str]:
    """``SERVICES``: names of services to the dotted paths of what makes them of the runtime."""
    return dict(_setting("SERVICES", {}))


def xqueue() -> dict[str, Any] | None:
    """``XQUEUE``: where the external grader is, in capitals (docs/reference/services.md); ``None``: none."""
    configuration = _setting("XQUEUE", None)
    return dict(configuration) if configuration else None


def sandbox() -> bool | Mapping[str, Any] | None:
    """``SANDBOX``: is the Python of problems run? ``None``, the default: no. ``True`` or limits: yes, confined."""
    limits: bool | Mapping[str, Any] | None = _setting("SANDBOX", None)
    return limits


def learner_switcher() -> bool:
    """``LEARNER_SWITCHER``: may any visitor be any learner of the workbench? ``DEBUG`` by default."""
    return bool(_setting("LEARNER_SWITCHER", settings.DEBUG))


def max_value_bytes() -> int:
    """``MAX_VALUE_BYTES``: how long the JSON text of one field's value may be; 16 MiB by default."""
    return int(_setting("MAX_VALUE_BYTES", 16 * 1024 * 1024))


def history_revisions() -> int | None:
    """``HISTORY_REVISIONS``: how many of a state's latest revisions are kept; ``None``, the default, keeps all."""
    revisions: int | None = _setting("HISTORY_REVISIONS", None)
    return revisions


def history_days() -> int | None:
    """``HISTORY_DAYS``: for how many days revisions are kept; ``None``, the default, keeps all."""
    days: int | None = _setting("HISTORY_DAYS", None)
    return days


def regions() -> Mapping[str, Mapping[str, Any]]:
    """``REGIONS``: names of regions to their configuration (docs/how-to/regions.md)."""
    return dict(_setting("REGIONS", {}))


def region_backends() -> Mapping[str, str]:
    """``REGION_BACKENDS``: more names of backends, to the dotted paths of their classes."""
    return dict(_setting("REGION_BACKENDS", {}))


def key_mangling() -> bool:
    """``KEY_MANGLING``: are keys of regions mangled at all? ``True`` by default."""
    return bool(_setting("KEY_MANGLING", True))


def lock_timeout() -> float:
    """``LOCK_TIMEOUT``: for how many seconds a lock is held, where nothing else is said; 5 by default."""
    return float(_setting("LOCK_TIMEOUT", 5))


def keystone_backends() -> Sequence[str]:
    """``KEYSTONE_BACKENDS``: dotted paths of dogpile backends that ``fieldstone.kvs.keystone`` registers."""
    return list(_setting("KEYSTONE_BACKENDS", []))


def keystone_config_prefix() -> str:
    """``KEYSTONE_CONFIG_PREFIX``: of the options that the Keystone face gives to dogpile."""
    return str(_setting("KEYSTONE_CONFIG_PREFIX", "keystone.kvs"))


def jobs_overlap() -> str:
    """``JOBS_OVERLAP``: what a job does that is about states another is at: ``refuse``, or ``wait``."""
    return str(_setting("JOBS_OVERLAP", "refuse"))


def job_kinds() -> Sequence[str]:
    """``JOB_KINDS``: dotted paths of the site's own kinds of jobs: subclasses of ``jobs.kinds.base.Kind``."""
    return tuple(_setting("JOB_KINDS", ()))


def job_lease_seconds() -> float:
    """``JOB_LEASE_SECONDS``: a worker that wrote nothing for so long is taken for gone; 60 by default."""
    return float(_setting("JOB_LEASE_SECONDS", 60))


def has_jobs_folder() -> bool:
    """Whether ``JOBS_FOLDER`` is set."""
    return bool(_setting("JOBS_FOLDER", None))


def jobs_folder() -> Path:
    """``JOBS_FOLDER``: where jobs leave reports and exports; by default a folder of this user's in ``/tmp``.

    Workers on several machines need one that they share.
    """
    folder = _setting("JOBS_FOLDER", None)
    return Path(folder) if folder else Path(tempfile.gettempdir()) / f"fieldstone-jobs-{os.getuid()}"


def signing_keys() -> list[bytes]:
    """What pickles of regions are signed with: from ``SECRET_KEY``, and before it ``SECRET_KEY_FALLBACKS``."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [hashlib.sha256(b"fieldstone.kvs.pickle" + str(secret).encode()).digest() for secret in secrets]
