"""The kinds of jobs, a module each. A site adds its own, a class each, by the setting ``JOB_KINDS``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.kinds.delete_state import DeleteState
from fieldstone.jobs.kinds.export_history import ExportHistory
from fieldstone.jobs.kinds.export_state import ExportState
from fieldstone.jobs.kinds.override_score import OverrideScore
from fieldstone.jobs.kinds.rescore import Rescore
from fieldstone.jobs.kinds.reset import ResetCourse, ResetLearner
from fieldstone.jobs.kinds.reset_attempts import ResetAttempts
from fieldstone.jobs.kinds.restore import Restore
from fieldstone.jobs.kinds.undo import Undo
from fieldstone.jobs.kinds.verify import Verify

KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        Rescore,
        OverrideScore,
        ResetAttempts,
        DeleteState,
        ResetLearner,
        ResetCourse,
        Restore,
        Undo,
        Verify,
        ExportState,
        ExportHistory,
    )
}
"""By the names that commands and rows have."""


def register(path: str) -> None:
    """Add the class at a dotted path. Raises ``ImproperlyConfigured``."""
    where = f"JOB_KINDS of FIELDSTONE: {path}"
    try:
        kind = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{where} cannot be imported: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Kind)):
        raise ImproperlyConfigured(f"{where} is no subclass of fieldstone.jobs.kinds.base.Kind.")
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise ImproperlyConfigured(f"{where}: there is a kind {kind.name!r} already.")


def kind_of(name: str, options: dict[str, Any]) -> Kind:
    """The kind, with its options. Raises ``JobRefusedError``."""
    if name not in KINDS:
        raise JobRefusedError(f"There is no job {name!r}. There are {', '.join(sorted(KINDS))}.")
    return KINDS[name].of(options)
