"""Python of course authors, run in a process that can do nothing but compute."""

from fieldstone.runtime.sandbox.checks import check_sandbox
from fieldstone.runtime.sandbox.errors import (
    SandboxLimitError,
    SandboxOffError,
    SandboxRefusedError,
    SandboxSettingError,
)
from fieldstone.runtime.sandbox.service import SandboxService
from fieldstone.runtime.sandbox.telling import told_in_answer, told_in_card

__all__ = [
    "SandboxLimitError",
    "SandboxOffError",
    "SandboxRefusedError",
    "SandboxService",
    "SandboxSettingError",
    "check_sandbox",
    "told_in_answer",
    "told_in_card",
]
