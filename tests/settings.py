"""Settings of the tests: the example project's, on SQLite always, and on PostgreSQL where an address is given."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parent.parent / "example"))

from project.settings import *  # noqa: F403
from project.settings import DATABASES as EXAMPLE_DATABASES
from project.settings import FIELDSTONE as EXAMPLE_FIELDSTONE
from project.settings import VAR

DEBUG = False
ALLOWED_HOSTS = ["testserver"]
FIELDSTONE = {**EXAMPLE_FIELDSTONE, "LEARNER_SWITCHER": True}
# A file, not memory: threads and processes share it. Named by process: two runs at once do not meet.
DATABASES = {
    "default": {**EXAMPLE_DATABASES["default"], "TEST": {"NAME": str(VAR / f"tests-{os.getpid()}.sqlite3")}}
}

if address := os.environ.get("FIELDSTONE_POSTGRESQL_URL"):
    server = urlsplit(address)
    DATABASES["postgresql"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": server.path.lstrip("/"),
        "HOST": server.hostname,
        "PORT": server.port,
        "USER": server.username,
        "PASSWORD": server.password or "",
        "TEST": {"NAME": f"fieldstone_tests_{os.getpid()}"},
    }
