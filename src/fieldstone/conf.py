"""One typed function per setting, read when it is called. Settings live in ``settings.FIELDSTONE``, a dict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings

TYPES: dict[str, Any] = {  # for isinstance(); the system checks look at it
    "COURSE": str | Path | None,
    "BLOCK_ALIASES": dict,
    "LEARNER_SWITCHER": bool,
    "MAX_VALUE_BYTES": int,
    "HISTORY_REVISIONS": int | None,
    "HISTORY_DAYS": int | None,
}


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, "FIELDSTONE", {}).get(name, default)


def course_folder() -> Path | None:
    """``COURSE``: the folder of the course in OLX that the workbench opens; ``None`` when none is set."""
    folder = _setting("COURSE", None)
    return Path(folder) if folder else None


def block_aliases() -> dict[str, str]:
    """``BLOCK_ALIASES``: OLX tag to the entry point that serves it, beyond the defaults.

    The blocks extracted from Open edX are published under names such as ``_problem_extracted``; the defaults
    map ``problem`` and its siblings to them.
    """
    return dict(_setting("BLOCK_ALIASES", {}))


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
