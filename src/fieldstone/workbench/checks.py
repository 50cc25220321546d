"""System checks: settings without which the workbench is not safe."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

POLICY = "fieldstone.workbench.security.strict_by_default"


def check_middleware(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001: the middleware that keeps block HTML away from all other pages comes first."""
    if list(settings.MIDDLEWARE)[:1] == [POLICY]:
        return []
    return [
        Error(
            "Without its middleware the workbench does not keep a block's script away from other pages.",
            hint=f'Put "{POLICY}" first in MIDDLEWARE.',
            id="fieldstone_workbench.E001",
        )
    ]
