"""Folders for servers that the tests start themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the servers' users can pass through; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="fieldstone-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, alias: str, open_folder: Path) -> Iterator[Path]:
    """A file system of its own, in memory; the test's parameter gives its megabytes by alias."""
    disk = open_folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param[alias]}m,mode=755", "fieldstone-tests", str(disk)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root, and a container that may mount")
    try:
        yield disk
    finally:
        # Lazily: children of a server that was killed may take a moment longer than it to go.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
