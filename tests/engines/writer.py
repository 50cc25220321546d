"""A process that saves, for races and crashes: ``writer.py DATABASE LEARNER NUMBER SAVES BLOCKS``.

DATABASE is the entry of ``settings.DATABASES`` as JSON. Saves field ``w<NUMBER>_<n>`` for n below SAVES, each time
in all of BLOCKS blocks, given in another order at each save, and prints n once the save is acknowledged.
"""

import json
import random
import sys

import django
from django.conf import settings
from opaque_keys.edx.locator import CourseLocator

from fieldstone.store import Store

learner, number, saves, count = map(int, sys.argv[2:])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.store"],
    DATABASES={"default": json.loads(sys.argv[1])},
    USE_TZ=True,
)
django.setup()

course = CourseLocator("Org", "Course", "Run")
blocks = [course.make_usage_key("problem", f"contended{n}") for n in range(count)]
for n in range(saves):
    random.shuffle(blocks)
    Store().save(learner, {block: {f"w{number}_{n}": n} for block in blocks})
    print(n, flush=True)
