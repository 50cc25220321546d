"""``manage.py fieldstone_block``: which blocks are installed, and why one cannot be loaded."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

from fieldstone.runtime.block_types import OWN, is_own
from fieldstone.runtime.entry_points import Candidate, installed, look_up
from fieldstone.workbench.management.block_report import Line, of_attempts, of_structure, overview

EXAMPLES = """examples:
  manage.py fieldstone_block
  manage.py fieldstone_block problem
  manage.py fieldstone_block drag-and-drop-v2

NAME is the tag in OLX. Without one, every block and aside that is installed is listed, with package, version,
class and whether it loads. With one, it shows which entry point serves the tag; if its class cannot be loaded, why
and what helps; else its views, handlers and fields, and the services that it asks for.

exit status: 0 it can be loaded (without NAME: all can); 1 it cannot, or nothing of that name is installed;
2 wrong use.
"""


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's help, with the lines of the examples as they are."""


class Command(BaseCommand):
    help = "Show the XBlocks that are installed, or one of them: where it comes from and why it cannot be loaded."
    requires_system_checks = ()  # a site that is wrong somewhere else can be asked all the same

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"formatter_class": _Formatter, "epilog": EXAMPLES}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="a block's tag in OLX; default: list all")

    def handle(self, *args: Any, name: str | None, **options: Any) -> None:
        if name is None:
            loads, lines = overview([_loaded(candidate) for candidate in installed()])
        elif is_own(name):
            loads, lines = of_structure(name, OWN[name])
        else:
            loads, lines = of_attempts(name, look_up(name), installed())
        for line in lines:
            self._write(line)
        if not loads:
            sys.exit(1)

    def _write(self, line: Line) -> None:
        style = {"good": self.style.SUCCESS, "bad": self.style.ERROR}.get(line.kind, str)
        self.stdout.write(style(line.text))


def _loaded(candidate: Candidate) -> tuple[Candidate, Exception | None]:
    try:
        candidate.load()
    except Exception as error:  # whatever the package raises when it is imported
        return candidate, error
    return candidate, None
