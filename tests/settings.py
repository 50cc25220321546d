"""Settings of the tests: the example project's, on SQLite always, and on PostgreSQL where an address is given."""

import os
import runpy
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
VAR = ROOT / "var"
_example = runpy.run_path(str(ROOT / "example" / "project" / "settings.py"))

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
ALLOWED_HOSTS = ["testserver"]
FIELDSTONE = {**_example["FIELDSTONE"], "LEARNER_SWITCHER": True}
INSTALLED_APPS = _example["INSTALLED_APPS"]
MIDDLEWARE = _example["MIDDLEWARE"]
TEMPLATES = _example["TEMPLATES"]
STATIC_URL = _example["STATIC_URL"]
DEFAULT_AUTO_FIELD = _example["DEFAULT_AUTO_FIELD"]
# A file, not memory: threads and processes share it. Named by process: two runs at once do not meet.
DATABASES = {
    "default": {**_example["DATABASES"]["default"], "TEST": {"NAME": str(VAR / f"tests-{os.getpid()}.sqlite3")}}
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
