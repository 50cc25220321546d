"""How much the Python of a problem may use, from the setting ``SANDBOX``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fieldstone import conf
from fieldstone.runtime.sandbox.errors import SandboxOffError, SandboxSettingError


def _own_interpreter() -> str:
    # Not sys.executable: in a server that embeds Python that is the server.
    return str(Path(sys.prefix, "bin", "python3"))


@dataclass(frozen=True)
class Limits:
    """Of one run. A problem has one when it is shown, and one for each answer that its Python checks."""

    seconds: int = 3  # of processor time, the start of Python included
    wall_seconds: int = 10  # for so long a request waits for it
    memory_mb: int = 512  # of address space; numpy fits into 192, scipy with sympy into 384
    output_kb: int = 1024  # of what it prints, and of the variables that it hands back
    interpreter: str = field(default_factory=_own_interpreter)

    def __post_init__(self) -> None:
        for name in ("seconds", "wall_seconds", "memory_mb", "output_kb"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SandboxSettingError(
                    f"SANDBOX: {name!r} is {value!r}, and wants to be a whole number from 1."
                )
        if not Path(str(self.interpreter)).is_absolute():
            raise SandboxSettingError("SANDBOX: 'interpreter' wants to be the full path of a Python, as text.")


def current_limits() -> Limits:
    """Those of the settings. Raises ``SandboxOffError``, and ``SandboxSettingError`` for what cannot be."""
    setting: Any = conf.sandbox()
    if setting is None or setting is False:
        raise SandboxOffError
    if setting is True:
        return Limits()
    if not isinstance(setting, dict):
        raise SandboxSettingError(f"SANDBOX is {setting!r}, and wants to be True, a dict of limits, or None.")
    known = [each.name for each in fields(Limits)]
    for name in setting:
        if name not in known:
            raise SandboxSettingError(f"SANDBOX has no {name!r}. There are {', '.join(known)}.")
    return Limits(**setting)
