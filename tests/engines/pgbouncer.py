"""A real pgbouncer before the tests' PostgreSQL, for as long as a test runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = os.environ.get("FIELDSTONE_PGBOUNCER")

# `any` takes whoever comes, and makes them the user named for the database. A socket in a folder: no port to find.
SETTINGS = """
[databases]
* = host={HOST} port={PORT} user={USER} {password}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits, options
"""


@contextmanager
def pgbouncer(server: dict[str, Any], mode: str) -> Iterator[dict[str, Any]]:
    """What is to be changed in the entry of this server in ``DATABASES``, to reach it through the pooler."""
    with tempfile.TemporaryDirectory(prefix="fieldstone-") as name:
        folder = Path(name)
        password = f"password={server['PASSWORD']}" if server["PASSWORD"] else ""
        values = {**server, "password": password, "folder": folder, "mode": mode}
        (folder / "pgbouncer.ini").write_text(SETTINGS.format(**values))
        folder.chmod(0o777)  # it does not run as root
        as_user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        process = subprocess.Popen(
            [PROGRAM, folder / "pgbouncer.ini"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **as_user,
        )
        try:
            log = []
            for line in process.stderr:
                log.append(line)
                if "process up" in line:
                    break
            else:
                raise RuntimeError("pgbouncer did not start:\n" + "".join(log))
            yield {"HOST": str(folder), "PORT": 6432}
        finally:
            process.kill()
            process.communicate()
