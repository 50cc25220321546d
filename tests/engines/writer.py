"""A process that saves, for races and crashes: ``writer.py ALIAS DATABASE LEARNER NUMBER SAVES BLOCKS``.

Saves field ``w<NUMBER>_<n>`` for n below SAVES, each time in all of BLOCKS blocks, given in another order at each
save, and prints n once the save is acknowledged.
"""

import os
import random
import sys

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
alias, database, learner, number, saves, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
settings.DATABASES[alias]["NAME"] = database
django.setup()

from fieldstone.store.store import Store  # noqa: E402
from tests.conftest import usage  # noqa: E402

blocks = [usage(f"contended{n}") for n in range(count)]
for n in range(saves):
    random.shuffle(blocks)
    Store(alias).save(learner, {block: {f"w{number}_{n}": n} for block in blocks})
    print(n, flush=True)
