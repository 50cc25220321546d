"""Settings of the tests: SQLite always, PostgreSQL where an address is given (`make test` gives one)."""

import os
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "fieldstone.store",
    "fieldstone.workbench",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ROOT / "var" / "tests.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL",
            "timeout": 20,
        },
        "TEST": {"NAME": str(ROOT / "var" / "tests.sqlite3")},  # a file: threads and processes share it
    }
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
        "TEST": {"NAME": "fieldstone_tests"},
    }
(ROOT / "var").mkdir(exist_ok=True)
