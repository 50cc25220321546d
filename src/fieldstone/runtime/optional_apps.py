"""Django apps that blocks use where there are any, such as ``edxval`` for ``video``.

Such a block tries the import and does without on ``ImportError``. But a package that is installed and not among
``INSTALLED_APPS`` raises another error, a ``RuntimeError`` about its models, and then the block cannot be loaded
at all; and installed these are, since the blocks' packages require them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from django.apps import apps

OPTIONAL_APPS = frozenset({"edxval", "submissions"})
"""Apps that blocks can do without."""


class _Missing(MetaPathFinder):
    """Finds these packages missing as long as they are no apps of the site."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.partition(".")[0]
        if name in OPTIONAL_APPS and apps.ready and not apps.is_installed(name):
            raise ModuleNotFoundError(f"{name!r} is not among INSTALLED_APPS", name=name)
        return None


_missing = _Missing()


def hide_apps_that_are_off() -> None:
    """From now on, importing an optional app that the site has not turned on is an ``ImportError``."""
    if _missing not in sys.meta_path:
        sys.meta_path.insert(0, _missing)
