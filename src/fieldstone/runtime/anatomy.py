"""What a block's class declares: its views, handlers, fields, and the services that it asks its host for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

SCOPES = (
    "content", "settings", "user_state", "user_state_summary", "preferences", "user_info", "parent", "children",
)  # fmt: skip
"""The scopes of fields, authored ones first, as XBlock names them."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of a block or aside, by their names, sorted."""

    views: list[str]
    handlers: list[str]
    fields: dict[str, list[str]]
    """Scope to fields."""
    services: dict[str, str]
    """Service to ``need`` or ``want``: without a needed one the block fails where it asks for it."""


def anatomy(cls: Any) -> Anatomy:
    """The parts of a block's class. Nothing of the block's own is run."""
    members = dict(inspect.getmembers_static(cls))
    scopes: dict[str, list[str]] = {}
    for name, field in cls.fields.items():
        scopes.setdefault((field.scope.name or str(field.scope)).removeprefix("Scope."), []).append(name)
    order = [*SCOPES, *sorted(scopes.keys() - set(SCOPES))]
    return Anatomy(
        views=sorted(name for name, part in members.items() if name.endswith("_view") and callable(part)),
        handlers=sorted(name for name, part in members.items() if getattr(part, "_is_xblock_handler", False)),
        fields={scope: sorted(scopes[scope]) for scope in order if scope in scopes},
        services=dict(sorted(_services(cls).items())),
    )


def _services(cls: Any) -> dict[str, str]:
    """What the class and those above it declare with ``@XBlock.needs`` and ``@XBlock.wants``."""
    declared: dict[str, str] = cls._combined_services  # XBlock offers no other way to list them
    return declared
