"""Django settings of the benchmarks: the example project's, as a site would run it, queries not logged."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "example"))

from project.settings import *  # noqa: E402, F403

DEBUG = False
ALLOWED_HOSTS = ["testserver"]
DATABASES: dict[str, dict[str, object]] = {}  # bench.databases puts what is measured under "default"
