"""``manage.py fieldstone_verify``: does each state follow from its history?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from fieldstone.errors import InvalidPlaceError, NothingStoredError
from fieldstone.store.engines.walk import Part
from fieldstone.store.management.command import StoreCommand
from fieldstone.store.parts import part_of
from fieldstone.store.routing import home_for_writing
from fieldstone.store.verify import Verification

EXAMPLES = """examples:
  manage.py fieldstone_verify
  manage.py fieldstone_verify --using courseware --learner 42
  manage.py fieldstone_verify --context course-v1:Org+Course+Run > disagreements.txt
  manage.py fieldstone_verify --usage block-v1:Org+Course+Run+type@problem+block@x

Each line of the output is a disagreement: learner, usage key, what disagrees. Learners may go on saving
meanwhile; nothing is written. With --context or --usage the index of the history is still walked whole.

exit status: 0 all states follow from their history; 1 something disagrees; 2 wrong use, or nothing is stored
of what was named.
"""


class Command(StoreCommand):
    help = "Replay the history of learners' states, and list what disagrees with the states that are stored."
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--learner", type=int, metavar="ID", help="only this learner's states")
        parser.add_argument("--context", metavar="KEY", help="only states of this course or library")
        parser.add_argument("--usage", metavar="KEY", help="only states of this block")
        super().add_arguments(parser)

    def handle(
        self,
        *args: Any,
        learner: int | None,
        context: str | None,
        usage: str | None,
        using: str | None,
        **options: Any,
    ) -> None:
        try:
            part = part_of(using, learner_id=learner, context=context, usage=usage)
        except (InvalidPlaceError, NothingStoredError) as error:
            raise CommandError(str(error), returncode=2) from error
        verification, disagreements = Verification(using, part), 0
        with self.progress("states", verification.total(), options) as shown:
            for findings in verification.batches():
                for finding in findings:
                    shown.print(f"learner {finding.learner_id}, {finding.key}: {finding.what}")
                disagreements += len(findings)
                shown.reach(verification.states)
        if part != Part() and not (verification.states or verification.revisions):
            named = [None if learner is None else f"learner {learner}", context, usage]
            alias = home_for_writing(using).states
            raise CommandError(str(NothingStoredError(", ".join(filter(None, named)), alias)), returncode=2)
        self._summarise(verification, disagreements)
        if disagreements:
            sys.exit(1)

    def _summarise(self, verification: Verification, disagreements: int) -> None:
        read = f"{verification.states:,} states and {verification.revisions:,} revisions read"
        if disagreements:
            self.stdout.write(self.style.ERROR(f"{read}: {disagreements:,} disagreements"))
        else:
            self.stdout.write(self.style.SUCCESS(f"{read}: all agree"))
