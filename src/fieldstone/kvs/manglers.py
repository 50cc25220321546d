"""Functions from keys to names on the server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.utils.module_loading import import_string


def sha1(key: str) -> str:
    return hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()


def resolve(mangler: object) -> Callable[[str], str] | None:
    """The mangler that was given, or that a dotted path leads to. Raises ``TypeError`` for what is none."""
    found = import_string(mangler) if isinstance(mangler, str) else mangler
    if found is not None and not callable(found):
        raise TypeError(f"key_mangler is {mangler!r}, and should be a function from text to text, or its dotted path")
    return found
