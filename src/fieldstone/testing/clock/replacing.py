"""Another method in place of one of a class, for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Undo = Callable[[], None]


def replace(owner: type, name: str, method: Callable[..., Any]) -> Undo:
    """Set it, and give back what sets the former one again; or none, where the class had only inherited one."""
    former = vars(owner).get(name)
    setattr(owner, name, method)

    def undo() -> None:
        if vars(owner).get(name) is not method:
            return  # somebody else replaced it since, and calls ours, which is harmless
        if former is None:
            delattr(owner, name)
        else:
            setattr(owner, name, former)

    return undo
