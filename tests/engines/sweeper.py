"""A process that sweeps, and is killed with -9 between the copy and the delete: ``sweeper.py DATABASES``.

DATABASES is ``settings.DATABASES`` as JSON, with the aliases ``states`` and ``history``.
"""

import json
import os
import signal
import sys

import django
from django.conf import settings
from django.db import connections

from fieldstone.store.outbox import sweep
from fieldstone.store.routing import Home

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.store"],
    DATABASES=json.loads(sys.argv[1]),
    USE_TZ=True,
)
django.setup()


def killed_at_the_delete(execute, sql, parameters, many, context):
    if sql.startswith("DELETE"):
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, parameters, many, context)


with connections["states"].execute_wrapper(killed_at_the_delete):
    for _ in sweep(Home("states", "history"), batch=3):
        pass
