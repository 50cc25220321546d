"""The example project: the workbench on SQLite, for one's own machine."""

import os
from pathlib import Path

from project.open_edx import *  # noqa: F403

ROOT = Path(__file__).resolve().parents[2]
VAR = Path(os.environ.get("FIELDSTONE_VAR", ROOT / "var"))
VAR.mkdir(parents=True, exist_ok=True)

DEBUG = True
SECRET_KEY = "for one's own machine only"  # noqa: S105
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "project.urls"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"  # what blocks unpack and learners upload
MEDIA_ROOT = VAR / "media"
STORAGES = {
    # SCORM packages are unpacked whenever their course is read, to the same names.
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"allow_overwrite": True},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "fieldstone.kvs",
    "fieldstone.store",
    "fieldstone.jobs",
    "fieldstone.workbench",
    "problem_builder",  # the table of its long answers
    "xblocks_contrib.problem.capa",  # the templates of its problems
]
MIDDLEWARE = [
    "fieldstone.workbench.security.strict_by_default",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR / "workbench.sqlite3",
        "OPTIONS": {
            # A writer waits for its turn at BEGIN, instead of failing half-way; readers never wait (WAL).
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL",
            "timeout": 20,
        },
    }
}
FIELDSTONE: dict[str, object] = {
    "COURSE": Path(__file__).resolve().parents[1] / "course",
    "JOBS_FOLDER": VAR / "jobs",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
