"""Settings of processes that work on jobs: the database, as JSON of Django's own description, and the course come
from the environment."""

import json
import os
from pathlib import Path
from typing import Any

from bench.settings import *  # noqa: F403

_LEASE = float(os.environ.get("FIELDSTONE_BENCH_LEASE", "60"))
DATABASES: dict[str, dict[str, Any]] = {"default": json.loads(os.environ["FIELDSTONE_BENCH_DATABASE"])}
FIELDSTONE: dict[str, object] = {
    "COURSE": Path(os.environ["FIELDSTONE_BENCH_COURSE"]),
    "JOB_LEASE_SECONDS": _LEASE,
    "JOBS_FOLDER": os.environ["FIELDSTONE_BENCH_JOBS"],
}
CELERY_BROKER_URL = os.environ.get("FIELDSTONE_BENCH_BROKER", "")
LOGGING: dict[str, object] = {"version": 1, "disable_existing_loggers": False}
CELERY_BEAT_SCHEDULE = {"rescue": {"task": "fieldstone.jobs.rescue", "schedule": _LEASE / 2}}
