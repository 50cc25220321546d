"""The page about jobs: the kinds that it shows are those that there are, and its own kinds do what it says."""

from __future__ import annotations

import re

from fieldstone.jobs.kinds import KINDS
from tests.docs.sites import listings, python, start_project
from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs/how-to/jobs.md").read_text()
HOT = "block-v1:Org+Tea+2026+type@problem+block@how-hot"
COURSE = """\
<course org="Org" course="Tea" url_name="2026">
  <chapter url_name="tea"><sequential url_name="kinds"><vertical url_name="green">
    <done url_name="tasted"/><done url_name="brewed"/><problem url_name="how-hot">
      <numericalresponse answer="80"><formulaequationinput/></numericalresponse></problem>
  </vertical></sequential></chapter>
</course>
"""
TRY = """\
import django
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from fieldstone.runtime.courses.current import current_course
from fieldstone.store import Store

call_command("check")
call_command("migrate", verbosity=0)
course = current_course()
tasted, brewed, hot = [
    course.key.make_usage_key(*name.split("/")) for name in ("done/tasted", "done/brewed", "problem/how-hot")
]
ada, ben = [get_user_model().objects.create_user(name) for name in ("ada", "ben")]
Store().save(ada, {hot: {"attempts": 3}, tasted: {"done": True}, brewed: {"done": False}})
Store().save(ben, {hot: {"attempts": 1}, tasted: {"done": False}})


def states():
    return [[Store().read(user, [place])[place] for place in (hot, tasted)] for user in (ada, ben)]


def refused(*arguments):
    try:
        call_command("fieldstone_job", "start", *arguments)
    except CommandError as error:
        return error.returncode == 2 and str(error)


give = ["start", "give-attempts", "--course", str(course.key), "--attempts", "2"]
call_command("fieldstone_job", *give, "--dry-run")
call_command("fieldstone_job", *give)
assert [hot.fields["attempts"] for hot, _ in states()] == [1, 0]
assert "1 or more, and not 0" in refused("give-attempts", "--course", str(course.key), "--attempts", "0")

unit = course.key.make_usage_key("vertical", "green")
call_command("fieldstone_job", "start", "mark-done", "--subtree", str(unit))
assert [(done.fields["done"], done.grade) for _, done in states()] == [(True, None), (True, 1)]
assert "it is no <done>" in refused("mark-done", "--block", str(hot))

call_command("fieldstone_job", "undo", "2")
call_command("fieldstone_job", "undo", "3")
assert [hot.fields["attempts"] for hot, _ in states()] == [3, 1]
assert [(done.fields["done"], done.grade) for _, done in states()] == [(True, None), (False, None)]
"""


def test_every_kind_is_documented():
    """In the table; an undo is an action of its own."""
    table = PAGE.partition("## What there is")[2].partition("\n\nIt is done over")[0]
    rows = [line.partition("|")[2].partition("|")[0] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    of_fieldstone = {name for name, kind in KINDS.items() if kind.__module__.startswith("fieldstone.")}
    assert named == of_fieldstone - {"undo"}


def test_the_kinds_of_the_page_work(tmp_path):
    files = listings(PAGE)
    assert files.keys() == {"mysite/settings.py", "mysite/kinds.py"}
    start_project(tmp_path, {**files, "course/course.xml": COURSE})
    said = python(tmp_path, "-c", TRY)
    assert "would have 2 succeeded" in said
    assert f"{HOT}: attempts: 3 to 1\n" in said
