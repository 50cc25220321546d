"""Why the Python of a problem did not run to its end, apart from its own mistakes."""

from __future__ import annotations

from fieldstone.errors.base import FieldstoneError


class SandboxOffError(FieldstoneError):
    """The problem has Python, and the site runs none."""

    def __init__(self) -> None:
        super().__init__(
            "This problem runs Python of its author, and Python problems are off on this site. "
            'FIELDSTONE = {"SANDBOX": True} in its settings turns them on.'
        )


class SandboxSettingError(FieldstoneError):
    """``FIELDSTONE["SANDBOX"]`` is not what it should be."""


class SandboxRefusedError(FieldstoneError):
    """Python cannot be confined on this system, so that none was run."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The Python of this problem was not run, because it cannot be confined here: {reason}")


class SandboxLimitError(FieldstoneError):
    """The Python of a problem was stopped at a limit."""

    def __init__(self, limit: str) -> None:
        self.limit = limit
        super().__init__(f"The Python of this problem was stopped: {limit}.")
