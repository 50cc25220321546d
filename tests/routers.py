"""Where the tests' applications have their tables."""

from __future__ import annotations

from typing import Any


class ProblemBuilderInDefault:
    """A migration of ``problem_builder`` asks the default database, whichever is migrated: in others it fails."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "default" if app_label == "problem_builder" else None
