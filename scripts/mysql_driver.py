"""Install mysqlclient, the driver for MariaDB, into the environment that runs this script.

It is published as source only, so it needs a C compiler and MariaDB's client headers. On Debian, as root, they
are installed with apt-get. Elsewhere, when they are missing, the driver is skipped with a line that says how to
get it, and with it the tests on MariaDB; with CI=true that is a failure.

usage: .venv/bin/python scripts/mysql_driver.py

exit status: 0 installed or skipped; 1 pip failed; 3 the headers are missing and CI=true.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from servers import apt
from servers.system import say

PACKAGES = ("libmariadb-dev", "pkg-config", "gcc", "libc6-dev")
ROOT = Path(__file__).parent.parent


def has_headers() -> bool:
    """What mysqlclient's own set-up asks for."""
    if not shutil.which("pkg-config"):
        return False
    names = ("mysqlclient", "mariadb", "libmariadb", "perconaserverclient")
    return any(subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0 for name in names)


def main() -> int:
    if importlib.util.find_spec("MySQLdb"):
        return 0
    if not has_headers() and apt.available():
        with tempfile.TemporaryDirectory(prefix="fieldstone-") as folder:
            asyncio.run(apt.install(PACKAGES, Path(folder, "apt.log")))
    if not has_headers():
        say("no headers of MariaDB's client, so no driver and no tests on MariaDB.")
        say(f"Next: apt-get install {' '.join(PACKAGES)} (or your system's like), then again")
        return 3 if os.environ.get("CI", "").lower() == "true" else 0
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    return 1 if subprocess.run([*pip, *constraints, "mysqlclient"], check=False).returncode else 0


if __name__ == "__main__":
    sys.exit(main())
