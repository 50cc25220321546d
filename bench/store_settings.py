"""Django settings of processes that need the store and nothing else: they start sooner, and weigh less."""

from bench.settings import *  # noqa: F403

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "fieldstone.store"]
ROOT_URLCONF = ""
