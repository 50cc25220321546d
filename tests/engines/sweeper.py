"""A process that sweeps, and is killed with -9 between the copy and the delete: ``sweeper.py DATABASES``.

DATABASES is ``settings.DATABASES`` as JSON, with the aliases ``states`` and ``history``.
"""

import json
import sys

import django
from django.conf import settings

from fieldstone.store.outbox import sweep
from fieldstone.store.routing import Home
from fieldstone.testing.faults import at_statement, kill_self

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.store"],
    DATABASES=json.loads(sys.argv[1]),
    USE_TZ=True,
)
django.setup()

with at_statement("^DELETE", kill_self, using="states"):
    for _ in sweep(Home("states", "history"), batch=3):
        pass
