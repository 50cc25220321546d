"""Settings of the server of the load run: the example project as a site would run it.

The database, as JSON of Django's own description, and the course come from the environment: the server is a
process of its own.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "example"))

from project.settings import *  # noqa: F403
from project.settings import MIDDLEWARE as EXAMPLE_MIDDLEWARE

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SESSION_ENGINE = "django.contrib.sessions.backends.db"
DATABASES: dict[str, dict[str, Any]] = {"default": json.loads(os.environ["FIELDSTONE_LEARNERS_DATABASE"])}
FIELDSTONE: dict[str, object] = {"COURSE": Path(os.environ["FIELDSTONE_LEARNERS_COURSE"])}

# The policy of the workbench has to be the first of all; the sessions' own queries are counted with the others.
MIDDLEWARE = [EXAMPLE_MIDDLEWARE[0], "bench.learners.counting.count_queries", *EXAMPLE_MIDDLEWARE[1:]]
