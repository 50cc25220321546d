"""Anything at all as JSON: what JSON cannot hold is told by its ``repr``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DEPTH = 100
"""What lies deeper than this in lists and dicts is told by its ``repr``."""


def dumps(value: Any) -> str:
    """JSON on one line. Never raises."""
    try:
        return json.dumps(value, allow_nan=False)
    except Exception:  # whatever a value's class raises when it is looked at
        return json.dumps(told(value), allow_nan=False)


def told(value: Any, around: tuple[int, ...] = ()) -> Any:
    """The same, of what JSON can hold; ``around``: the ids of what the value lies in."""
    if _is_json(value):
        return value
    if id(value) in around or len(around) >= DEPTH:
        return _repr(value)
    inside = (*around, id(value))
    try:
        if isinstance(value, Mapping):
            return {key if isinstance(key, str) else _repr(key): told(each, inside) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [told(each, inside) for each in value]
    except Exception:
        return _repr(value)
    return _repr(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, list | tuple | Mapping) and value:
        return False  # looked at piece by piece
    try:
        json.dumps(value, allow_nan=False)
    except Exception:
        return False
    return True


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} without a repr>"
