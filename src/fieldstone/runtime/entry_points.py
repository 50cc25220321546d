"""The entry points under which packages publish blocks and asides, and which of them serves a tag.

``block_types.block_class`` gives the class; this says how it was found, or where the search ended.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points

from xblock.core import XBlock, XBlockAside
from xblock.plugin import PluginMissingError, default_select

from fieldstone import conf
from fieldstone.runtime.block_types import EXTRACTED
from fieldstone.runtime.optional_apps import hide_apps_that_are_off


class AmbiguousNameError(Exception):
    """Several packages publish a block under one name, and XBlock refuses to choose."""


class NotABlockError(Exception):
    """The entry point leads to something that is no block."""


@dataclass(frozen=True)
class Candidate:
    """One entry point of one installed package."""

    entry_point: EntryPoint

    @property
    def name(self) -> str:
        return self.entry_point.name

    @property
    def value(self) -> str:
        """Where its class is: ``module:class``."""
        return self.entry_point.value

    @property
    def is_aside(self) -> bool:
        return self.entry_point.group.startswith(XBlockAside.entry_point)

    @property
    def is_override(self) -> bool:
        """Does it stand in the group whose blocks go before another package's of that name?"""
        return self.entry_point.group.endswith(".overrides")

    @property
    def distribution(self) -> Distribution | None:
        return self.entry_point.dist

    @property
    def package(self) -> str:
        """Name and version of the package."""
        found = self.distribution
        return f"{found.name} {found.version}" if found else "a package without metadata"

    def load(self) -> type:
        """The class. Raises ``NotABlockError``, and whatever the package raises when it is imported."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the question is whether it loads
            cls = self.entry_point.load()
        wanted = XBlockAside if self.is_aside else XBlock
        if not (isinstance(cls, type) and issubclass(cls, wanted)):
            raise NotABlockError(f"{self.value} is {cls!r}, and no subclass of {wanted.__name__}")
        return cls


@dataclass(frozen=True)
class Attempt:
    """What is published under one name, and what came of loading it."""

    name: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    cls: type | None
    error: Exception | None
    """Why none was chosen, or why the chosen one cannot be loaded."""


def installed(name: str | None = None) -> list[Candidate]:
    """The candidates of a name, else all; blocks before asides, in the order of the names."""
    return [
        Candidate(entry_point)
        for family in (XBlock, XBlockAside)
        for entry_point in sorted(
            (
                entry_point
                for group in (family.entry_point, f"{family.entry_point}.overrides")
                for entry_point in entry_points(group=group)
                if name is None or entry_point.name == name
            ),
            key=lambda entry_point: (entry_point.name, entry_point.group, entry_point.value),
        )
    ]


def names_for(tag: str) -> list[str]:
    """The names that the runtime looks for, in its order: that of the alias, and the tag itself."""
    aliases = {**EXTRACTED, **conf.block_aliases()}
    # XBlock looks every name up in lower case.
    return list(dict.fromkeys(name.lower() for name in (aliases.get(tag, tag), tag)))


def look_up(tag: str) -> list[Attempt]:
    """The attempts to serve a tag, as the runtime makes them: the last one decides."""
    attempts: list[Attempt] = []
    for name in names_for(tag):
        attempts.append(attempt(name))
        if attempts[-1].candidates:
            break
    return attempts


def attempt(name: str) -> Attempt:
    """Load what is published under a name, as the runtime does."""
    hide_apps_that_are_off()
    candidates = tuple(installed(name))
    if not candidates:
        return Attempt(name, candidates, None, None, None)
    try:
        chosen = _choose(candidates)
    except (AmbiguousNameError, PluginMissingError) as error:
        return Attempt(name, candidates, None, None, error)
    try:
        return Attempt(name, candidates, chosen, chosen.load(), None)
    except Exception as error:  # whatever the package raises when it is imported
        return Attempt(name, candidates, chosen, None, error)


def _choose(candidates: tuple[Candidate, ...]) -> Candidate:
    """XBlock's own choice. Raises ``PluginMissingError`` for an override of nothing.

    Raises ``AmbiguousNameError`` where XBlock's own error would import all candidates first.
    """
    family = [candidate for candidate in candidates if candidate.is_aside == candidates[0].is_aside]
    for group in ([c for c in family if c.is_override], [c for c in family if not c.is_override]):
        if len(group) > 1:
            packages = ", ".join(sorted(candidate.package for candidate in group))
            raise AmbiguousNameError(f"{len(group)} packages publish it: {packages}")
    selected = default_select(family[0].name, [candidate.entry_point for candidate in family])
    return next(candidate for candidate in family if candidate.entry_point is selected)
