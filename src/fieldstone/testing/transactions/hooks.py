"""Methods of Django's that are watched while somebody wants to know of their calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

Around = Callable[..., Any]
"""Is called in the method's place, with ``call`` (the method, its arguments given) and with the arguments."""


class Hook:
    """One method of a class: as Django wrote it, as long as nobody is around it."""

    def __init__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name
        self.original: Any = None
        self._around: list[Around] = []

    def add(self, around: Around) -> Callable[[], None]:
        """Call ``around`` in the method's place, until the function given back is called; in any order."""
        if not self._around:
            self._install()
        self._around.append(around)

        def forget() -> None:
            self._around.remove(around)
            if not self._around and vars(self._owner)[self._name] is self._installed:
                setattr(self._owner, self._name, self.original)

        return forget

    def _install(self) -> None:
        kept = self.original = vars(self._owner)[self._name]
        method = kept.__func__ if isinstance(kept, classmethod) else kept

        @functools.wraps(method)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            call = functools.partial(method, *args, **kwargs)
            for around in reversed(self._around):
                call = functools.partial(around, call, *args, **kwargs)
            return call()

        self._installed: Any = classmethod(hooked) if isinstance(kept, classmethod) else hooked
        setattr(self._owner, self._name, self._installed)


BLOCK_ENDS = Hook(Atomic, "__exit__")
SETS_ROLLBACK = Hook(BaseDatabaseWrapper, "set_rollback")
REGISTERS = Hook(BaseDatabaseWrapper, "on_commit")
RUNS_CALLBACKS = Hook(BaseDatabaseWrapper, "run_and_clear_commit_hooks")
