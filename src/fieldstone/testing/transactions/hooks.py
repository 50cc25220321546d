"""Methods of Django's that are watched while somebody wants to know of their calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a method that is watched, on its way to the method."""

    method: Callable[..., Any]
    """The next one around it, or the method itself."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        return self.method(*self.args, **self.kwargs)

    def giving(self, other: object, instead_of: object) -> Call:
        """The same with one argument changed."""
        args = tuple(other if each is instead_of else each for each in self.args)
        kwargs = {name: other if each is instead_of else each for name, each in self.kwargs.items()}
        return Call(self.method, args, kwargs)


Around = Callable[..., Any]
"""Is called in the method's place, with the ``Call`` and with the arguments."""


class _Installed:
    """A function in a method's place. When nobody is around it any more, it does nothing but call the method."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept
        """What was in the place before."""
        self.around: list[Around] = []
        method = kept.__func__ if isinstance(kept, classmethod) else kept

        @functools.wraps(method)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            inner = method
            for around in reversed(self.around):
                inner = functools.partial(_through, around, inner)
            return inner(*args, **kwargs)

        self.placed: Any = classmethod(hooked) if isinstance(kept, classmethod) else hooked


def _through(around: Around, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return around(Call(method, args, kwargs), *args, **kwargs)


class Hook:
    """One method of a class: as Django wrote it, as long as nobody is around it.

    Somebody else may put a function of his own in the method's place, over ours, and put ours back when nobody is
    around it: so each installation is one of its own, and an old one is taken away where it is found.
    """

    def __init__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name
        self._now: _Installed | None = None
        self._old: list[_Installed] = []

    def add(self, around: Around) -> Callable[[], None]:
        """Call ``around`` in the method's place, until the function given back is called; in any order."""
        if self._now is None:
            self._clear()
            self._now = _Installed(self._placed)
            setattr(self._owner, self._name, self._now.placed)
        installed = self._now
        installed.around.append(around)

        def forget() -> None:
            installed.around.remove(around)
            if not installed.around:
                self._now = None
                self._old.append(installed)
                self._clear()

        return forget

    @property
    def _placed(self) -> Any:
        return vars(self._owner)[self._name]

    def _clear(self) -> None:
        """Take the old ones away, as far as nobody is over them."""
        while (found := next((each for each in self._old if each.placed is self._placed), None)) is not None:
            self._old.remove(found)
            setattr(self._owner, self._name, found.kept)


BLOCK_ENDS = Hook(Atomic, "__exit__")
SETS_ROLLBACK = Hook(BaseDatabaseWrapper, "set_rollback")
REGISTERS = Hook(BaseDatabaseWrapper, "on_commit")
RUNS_CALLBACKS = Hook(BaseDatabaseWrapper, "run_and_clear_commit_hooks")
