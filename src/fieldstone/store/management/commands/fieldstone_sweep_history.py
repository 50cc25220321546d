"""``manage.py fieldstone_sweep_history``: move the history that a crash or an outage left beside the states."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError
from django.db import Error

from fieldstone.errors import SameHistoryTableError
from fieldstone.store.engines.history import HistoryTable
from fieldstone.store.management.command import StoreCommand
from fieldstone.store.outbox import sweep
from fieldstone.store.routing import home_for_writing

EXAMPLES = """examples:
  manage.py fieldstone_sweep_history
  manage.py fieldstone_sweep_history --using courseware

For sites whose database routers send StudentModuleHistory to a database of its own. Saves write history beside
the states, and move it once they are committed; what they could not move is moved here. Run it now and then, from
cron. Learners may go on saving meanwhile, and several sweeps may run at once.

exit status: 0 all is moved, or history lives beside its states; 1 some could not be moved; 2 wrong use, or both
aliases lead to one database.
"""


class Command(StoreCommand):
    help = "Move what is left of the history beside the states to the database that the routers send it to."
    examples = EXAMPLES

    def handle(self, *args: Any, using: str | None, **options: Any) -> None:
        home = home_for_writing(using)
        if not home.is_divided:
            self.stdout.write(f"history lives beside its states, on {home.states!r}: there is nothing to move")
            return
        moved = left = 0
        try:
            with self.progress("revisions", HistoryTable(home.states).count(), options) as shown:
                for batch in sweep(home):
                    for learner_id, usage_id, revision in batch.clashes:
                        shown.print(
                            f"learner {learner_id}, usage {usage_id}: revision {revision} is another save's"
                        )
                    moved += batch.revisions
                    left += len(batch.clashes)
                    shown.reach(moved + left)
        except SameHistoryTableError as error:
            raise CommandError(str(error), returncode=2) from error
        except Error as error:
            raise CommandError(
                f"{moved:,} revisions moved from {home.states!r} to {home.history!r}, then a database failed:"
                f" {str(error).strip()}. Nothing is lost. Run the command again when both databases answer."
            ) from error
        self.stdout.write(f"{moved:,} revisions moved from {home.states!r} to {home.history!r}")
        if left:
            self.stderr.write(
                f"{left:,} revisions stay on {home.states!r}: {home.history!r} has other saves under their keys."
                " Have two stores been given one database of history? Give each its own."
            )
            sys.exit(1)
