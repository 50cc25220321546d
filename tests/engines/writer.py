"""A process that saves, for races and crashes: ``writer.py ALIAS DATABASE LEARNER NUMBER SAVES``.

Saves field ``w<NUMBER>_<n>`` of one block for n below SAVES, and prints n once the save is acknowledged.
"""

import os
import sys

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
alias, database, learner, number, saves = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
settings.DATABASES[alias]["NAME"] = database
django.setup()

from fieldstone.store.store import Store  # noqa: E402
from tests.conftest import usage  # noqa: E402

for n in range(saves):
    Store(alias).save(learner, {usage("contended"): {f"w{number}_{n}": n}})
    print(n, flush=True)
