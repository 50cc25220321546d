"""Settings of the tests: the example project's, on SQLite, and on PostgreSQL and MariaDB where those are given."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parent.parent / "example"))

from project.settings import *  # noqa: F403
from project.settings import DATABASES as EXAMPLE_DATABASES
from project.settings import FIELDSTONE as EXAMPLE_FIELDSTONE
from project.settings import INSTALLED_APPS as EXAMPLE_APPS
from project.settings import VAR

DEBUG = False
INSTALLED_APPS = [*EXAMPLE_APPS, "tests.testing.blog"]
# A migration of its asks the default database, whichever is migrated: with a second one it fails.
MIGRATION_MODULES = {"problem_builder": "tests.problem_builder_migrations"}
ALLOWED_HOSTS = ["testserver"]
FIELDSTONE = {**EXAMPLE_FIELDSTONE, "LEARNER_SWITCHER": True}


def on_server(engine: str, variable: str, name: str) -> dict[str, Any]:
    """The entry for a server whose address a variable gives; ``name`` is a database that every server has."""
    server = urlsplit(os.environ[variable])
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": server.path.lstrip("/") or name,
        "HOST": server.hostname,
        "PORT": server.port,
        "USER": server.username,
        "PASSWORD": server.password or "",
    }


def tested(database: dict[str, Any], name: str) -> dict[str, Any]:
    """With the name of the database that the tests make: by process, so that two runs at once do not meet."""
    return {**database, "TEST": {"NAME": name.format(os.getpid()), "DEPENDENCIES": []}}


# A file: threads and processes share it. On Linux one in memory, which does without the disk's own time.
# Beside each database a second one, where history may live.
SHARED_MEMORY = Path("/dev/shm")
FILES = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else VAR
SQLITE = EXAMPLE_DATABASES["default"]
DATABASES = {
    "default": tested(SQLITE, str(FILES / "fieldstone-tests-{}.sqlite3")),
    "default_history": tested(SQLITE, str(FILES / "fieldstone-tests-{}-history.sqlite3")),
}
if "FIELDSTONE_POSTGRESQL_URL" in os.environ:
    POSTGRESQL = on_server("postgresql", "FIELDSTONE_POSTGRESQL_URL", "postgres")
    DATABASES["postgresql"] = tested(POSTGRESQL, "fieldstone_tests_{}")
    DATABASES["postgresql_history"] = tested(POSTGRESQL, "fieldstone_tests_{}_history")
    # As docs/reference/settings.md recommends it: parameters are bound on the server, whose typing is stricter.
    PREPARED = {**POSTGRESQL, "OPTIONS": {"server_side_binding": True, "prepare_threshold": 2}}
    DATABASES["prepared"] = tested(PREPARED, "fieldstone_tests_{}_prepared")
    DATABASES["prepared_history"] = tested(PREPARED, "fieldstone_tests_{}_prepared_history")
# mysqlclient has to be compiled, so an environment may be without it (scripts/mysql_driver.py).
if "FIELDSTONE_MARIADB_URL" in os.environ and importlib.util.find_spec("MySQLdb"):
    MARIADB = on_server("mysql", "FIELDSTONE_MARIADB_URL", "mysql")
    DATABASES["mariadb"] = tested(MARIADB, "fieldstone_tests_{}")
    DATABASES["mariadb_history"] = tested(MARIADB, "fieldstone_tests_{}_history")
