"""Django settings of the benchmarks: the example project's, as a site would run it, queries not logged."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "example"))

from project.settings import *  # noqa: E402, F403
from project.settings import INSTALLED_APPS as EXAMPLE_APPS  # noqa: E402

DEBUG = False
# A migration of its asks the default database, whichever is migrated: and more than one is measured.
INSTALLED_APPS = [app for app in EXAMPLE_APPS if app != "problem_builder"]
ALLOWED_HOSTS = ["testserver"]
DATABASES: dict[str, dict[str, object]] = {}  # bench.databases puts what is measured under "default"
