"""What the store's commands have in common: examples in their help, and the alias that they are about."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter
from django.db import connections

from fieldstone.store.management.progress import Progress, progress


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's help, with the lines of the examples as they are."""


class StoreCommand(BaseCommand):
    """A command over a whole store."""

    examples: ClassVar[str]
    """What stands below the options in the help: examples, what it does, exit status."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"formatter_class": _Formatter, "epilog": self.examples}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--using", metavar="ALIAS", choices=list(connections),
            help="the database alias of the states; default: what the database routers say",
        )  # fmt: skip

    def progress(self, what: str, total: int, options: dict[str, Any]) -> AbstractContextManager[Progress]:
        """Progress on the streams of the command."""
        # The streams themselves: Django's wrappers add a line's end to each piece that a bar is drawn of.
        return progress(what, total, options.get("stdout") or sys.stdout, options.get("stderr") or sys.stderr)
