"""How problems reach the sandbox: they run Python through the package ``codejail``.

Codejail confines by ``sudo`` and AppArmor, which a site has to set up, and without them does not start. So its
function that runs a program is replaced here; what it makes of problems' code, and of the result, stays its own.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fieldstone.errors.base import FieldstoneError
from fieldstone.runtime.sandbox.limits import Limits, current_limits
from fieldstone.runtime.sandbox.runner import PROGRAM, Finished, run
from fieldstone.runtime.sandbox.telling import remember

log = logging.getLogger("fieldstone.runtime")


@cache
def confine_codejail() -> None:
    """From here on codejail runs Python as the setting ``SANDBOX`` says, in the whole process, or not at all."""
    if find_spec("codejail") is None:
        return  # then nothing is installed that runs authors' Python
    from codejail import jail_code, safe_exec  # type: ignore[import-untyped]  # optional, and it has no types

    safe_exec.ALWAYS_BE_UNSAFE = False
    jail_code.configure("python", "python3")  # which it only looks for; the interpreter is the setting's
    jail_code.jail_code = run_jailed


def run_jailed(
    command: str,
    code: str = "",
    files: Iterable[str] = (),
    extra_files: Iterable[tuple[str, bytes]] = (),
    argv: Any = None,
    stdin: str = "",
    limit_overrides_context: str | None = None,
    slug: str | None = None,
) -> Finished:
    """Codejail's ``jail_code``: the program ``code``, with copies of ``files`` and ``extra_files`` beside it.

    Raises ``SandboxOffError``, ``SandboxSettingError``, ``SandboxRefusedError`` and ``SandboxLimitError``, none of
    them codejail's own error: what that one says is kept in the cache and shown to the next learner too.
    """
    if command != "python":
        raise FieldstoneError(f"Only Python is run here, and not {command!r}.")
    try:
        return _in_folder(current_limits(), code, files or (), extra_files or (), stdin)
    except FieldstoneError as error:
        log.warning("%s: %s", slug, error)
        remember(error)
        raise


def _in_folder(
    limits: Limits, code: str, files: Iterable[str], extra_files: Iterable[tuple[str, bytes]], stdin: str
) -> Finished:
    with TemporaryDirectory(prefix="fieldstone-sandbox-") as name:
        folder = Path(name)
        for source in files:
            _copy(Path(source), folder)
        for called, content in extra_files:
            (folder / Path(called).name).write_bytes(content)
        (folder / PROGRAM).write_text(code, encoding="utf-8")
        return run(folder, stdin.encode(), limits)


def _copy(source: Path, folder: Path) -> None:
    # A link stays a link: what it leads to is outside the folder and cannot be read.
    if source.is_symlink() or source.is_file():
        shutil.copy(source, folder, follow_symlinks=False)
    else:
        shutil.copytree(source, folder / source.name, symlinks=True)
