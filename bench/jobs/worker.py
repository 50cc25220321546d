"""A worker in a process of its own: ``python -m bench.jobs.worker NUMBER``, until the job has ended.

Prints the most memory that it had, in KiB, and how many queries it made.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from typing import Any

import django

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
os.environ["DJANGO_SETTINGS_MODULE"] = "bench.jobs.settings"
django.setup()  # before the models are imported

from django.db import connection  # noqa: E402

from fieldstone.jobs.models import ENDED  # noqa: E402
from fieldstone.jobs.worker import Worker  # noqa: E402

PAUSE = 0.2


def main(number: int) -> None:
    queries = 0

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(sql, *rest)

    worker = Worker()
    while True:
        with connection.execute_wrapper(count):
            job = worker.run(number)
        if job.status in ENDED:
            break
        time.sleep(PAUSE)  # the parts that are left are another's
    print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "queries": queries}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
