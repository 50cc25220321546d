"""The exam site's Celery: ``celery -A bench.jobs.queue worker``."""

from __future__ import annotations

import warnings

from celery import Celery

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

app = Celery("exam")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
