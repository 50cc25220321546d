"""A process that scans a course: reads its database and the course from standard input, writes what it took."""

from __future__ import annotations

import os
import pickle
import re
import resource
import sys
from pathlib import Path

import django
from opaque_keys.edx.keys import CourseKey

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.store_settings"
django.setup()

from django.db import connections  # noqa: E402

from bench.databases import use  # noqa: E402
from fieldstone.store.store import Store  # noqa: E402


def peak() -> float:
    """Megabytes resident at most so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts the parent, which started this process, into ru_maxrss
        (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(kilobytes) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


configuration, course = pickle.load(sys.stdin.buffer)
use({"default": configuration})
connections["default"].ensure_connection()
before = peak()
rows = sum(1 for _ in Store().scan(context=CourseKey.from_string(course)))
sys.stdout.write(f"{rows} {peak():.2f} {before:.2f}\n")
connections["default"].close()
