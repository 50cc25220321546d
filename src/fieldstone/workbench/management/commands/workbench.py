"""``manage.py workbench``: set up the database and open a course in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fieldstone.errors import CourseError
from fieldstone.workbench.courses import current_course


class Command(BaseCommand):
    help = (
        "Open a course in OLX in the browser: makes the database's tables, reads the course, and serves it.\n"
        "Examples:  manage.py workbench\n"
        "           manage.py workbench --course ../my-course --address 127.0.0.1:8080\n"
        "           manage.py workbench --course course.abc123.tar.gz"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--course",
            metavar="PATH",
            help="a folder with course.xml or library.xml, or a .tar.gz of one; default: the settings'",
        )
        parser.add_argument(
            "--address", default="127.0.0.1:8000", metavar="HOST:PORT", help="default: %(default)s"
        )

    def handle(self, *args: Any, course: str | None, address: str, **options: Any) -> None:
        if course:
            settings.FIELDSTONE = {**getattr(settings, "FIELDSTONE", {}), "COURSE": Path(course)}
        try:
            opened = current_course()
        except ImproperlyConfigured as error:
            raise CommandError(f"{error} Or name one: --course PATH.") from error
        except CourseError as error:
            raise CommandError(f"The course cannot be read.\n{error}") from error
        call_command("migrate", verbosity=0)
        for problem in opened.problems:
            self.stderr.write(self.style.WARNING(problem))
        unavailable = sum(bool(block.unavailable) for block in opened.blocks.values())
        self.stdout.write(
            self.style.SUCCESS(f"{opened.root.title}: {len(opened.blocks)} blocks")
            + (f", {unavailable} of them cannot be loaded" if unavailable else "")
        )
        self.stdout.write(f"Open http://{address} in a browser. Ctrl-C stops.")
        call_command("runserver", address, use_reloader=False, verbosity=0)
