"""``manage.py fieldstone_trim_history``: delete the history that is older than what is kept."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections
from django.utils import timezone

from fieldstone.errors import SameHistoryTableError
from fieldstone.store.engines import engine_of, walk
from fieldstone.store.engines.walk import Part
from fieldstone.store.management.command import StoreCommand
from fieldstone.store.retention import Limits, Trimmed, Trimming
from fieldstone.store.routing import Home, home_for_writing
from fieldstone.store.tables import USAGE

EXAMPLES = """examples:
  manage.py fieldstone_trim_history --dry-run
  manage.py fieldstone_trim_history
  manage.py fieldstone_trim_history --days 365 --revisions 20
  manage.py fieldstone_trim_history --using courseware --days 30

Without --days and --revisions, HISTORY_DAYS and HISTORY_REVISIONS of the settings say what is kept. With both
limits a revision is deleted only if it is past both of them: --days 365 --revisions 20 keeps all of a year, and of
each state its last 20 revisions, however old. The latest revision is always kept, and so is the one that was
current when the days began. The states themselves are not touched.

What is kept can be rebuilt as before. Asking for older states raises HistoryTrimmedError, and a save that is tried
again under a token of a deleted revision is written again. Learners may go on saving meanwhile; a run that is
stopped, or a second one at once, does no harm.

exit status: 0 done; 1 some history was left as it is, a line each: look with fieldstone_verify; 2 wrong use.
"""


class Command(StoreCommand):
    help = "Delete revisions of the history that are older than what is kept."
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, metavar="N", help="keep what was saved in the last N days")
        parser.add_argument("--revisions", type=int, metavar="N", help="keep the last N revisions of each state")
        parser.add_argument(
            "--dry-run", action="store_true", help="count what would be deleted, and delete nothing"
        )
        super().add_arguments(parser)

    def handle(
        self, *args: Any, days: int | None, revisions: int | None, dry_run: bool, using: str | None, **options: Any
    ) -> None:
        try:
            limits = Limits.of_settings(revisions, days)
        except ValueError as error:
            hint = "Give --days or --revisions, or set HISTORY_DAYS or HISTORY_REVISIONS"
            raise CommandError(f"{error} {hint} (docs/reference/settings.md).", returncode=2) from error
        home, total = home_for_writing(using), Trimmed()
        with connections[home.states].cursor() as cursor:
            states = walk.count_states(cursor, Part())
        try:
            with self.progress("states", states, options) as shown:
                for batch in Trimming(home, limits, timezone.now()).batches(dry_run=dry_run):
                    for line in _lines(batch, home):
                        shown.print(line)
                    total = total + batch
                    shown.reach(total.states)
        except SameHistoryTableError as error:
            raise CommandError(str(error), returncode=2) from error
        what = "would be deleted" if dry_run else "deleted"
        self.stdout.write(f"{total.revisions:,} revisions of {total.shortened:,} states {what}")
        if total.left:
            sys.exit(1)


def _lines(batch: Trimmed, home: Home) -> list[str]:
    """What was left, with the keys of the usages."""
    if not batch.left:
        return []
    usage_ids = sorted({usage_id for (_, usage_id, _), _ in batch.left})
    with connections[home.states].cursor() as cursor:
        keys = engine_of(connections[home.states]).select_keys(cursor, USAGE, usage_ids)
    return [
        f"learner {learner_id}, {keys.get(usage_id, usage_id)}: not trimmed to revision {revision}: {why}"
        for (learner_id, usage_id, revision), why in batch.left
    ]
