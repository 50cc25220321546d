"""The exam's site: a database with its learners, a folder, and workers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

from bench.databases import Configuration
from bench.jobs.course import Exam

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "bench.jobs.settings"


@dataclass(frozen=True)
class Site:
    """What a worker has to know."""

    database: Configuration
    exam: Exam
    folder: Path
    lease_seconds: float = 60.0
    broker: str = ""

    def here(self) -> override_settings:
        """This process looks at the exam too, as long as it lasts."""
        course = {"COURSE": self.exam.after, "JOBS_FOLDER": self.folder / "jobs"}
        return override_settings(FIELDSTONE={**settings.FIELDSTONE, **course})

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "FIELDSTONE_BENCH_DATABASE": json.dumps(self.database, default=str),
            "FIELDSTONE_BENCH_COURSE": str(self.exam.after),
            "FIELDSTONE_BENCH_JOBS": str(self.folder / "jobs"),
            "FIELDSTONE_BENCH_LEASE": str(self.lease_seconds),
            "FIELDSTONE_BENCH_BROKER": self.broker,
        }

    def worker(self, job_id: int) -> subprocess.Popen[str]:
        """One more worker; what it prints at its end is in its ``stdout``."""
        return self.process("bench.jobs.worker", str(job_id), stdout=subprocess.PIPE)

    def process(self, module: str, *arguments: str, stdout: Any = None) -> subprocess.Popen[str]:
        with (self.folder / "workers.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
