"""Django's settings of a Celery worker in the tests: what the test gave it in its environment."""

import json
import os

DATABASES = {"default": json.loads(os.environ["FIELDSTONE_TEST_DATABASE"])}
FIELDSTONE = {"JOB_LEASE_SECONDS": 1.0}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "fieldstone.kvs",
    "fieldstone.store",
    "fieldstone.jobs",
]
SECRET_KEY = "of a test"
USE_TZ = True
CELERY_BROKER_URL = os.environ["FIELDSTONE_TEST_BROKER_URL"]
CELERY_TASK_DEFAULT_QUEUE = os.environ["FIELDSTONE_TEST_QUEUE"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BEAT_SCHEDULE = {"rescue": {"task": "fieldstone.jobs.rescue", "schedule": 0.25}}
