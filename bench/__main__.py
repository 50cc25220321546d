"""Measure Fieldstone against the bare driver at the same work, both in one run and in turns.

examples:
  make bench                                       everything, with a PostgreSQL that is started for it
  python -m bench --engine sqlite                  no server needed
  python -m bench --engine sqlite --row save-one --row save-20 --seconds 10
  python -m bench --rounds 500 --markdown > table.md

PostgreSQL's address is read from FIELDSTONE_POSTGRESQL_URL; without it, only SQLite is measured. Databases are
made for the run and dropped after it.

exit status: 0; 2 wrong use; 3 an engine that was asked for has no server.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

import django

# Of the package `fs`, which XBlock needs; constraints.txt pins the setuptools that it works with.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()  # before the models are imported

from rich.console import Console  # noqa: E402

from bench import page  # noqa: E402
from bench.databases import POSTGRESQL_URL, NoServerError  # noqa: E402
from bench.measuring import Budget  # noqa: E402
from bench.report import ENGINES  # noqa: E402
from bench.rows import ROWS  # noqa: E402
from bench.run import run  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*ROWS, page.NAME]
    parser.add_argument(
        "--engine", action="append", choices=list(ENGINES), help="repeat it for more (default: all there are)"
    )
    parser.add_argument(
        "--row", action="append", choices=names, metavar="ROW", help=f"repeat it for more; of {', '.join(names)}"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="a row, on each engine (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="a row, on each engine, however long they take")
    parser.add_argument("--folder", type=Path, help="where SQLite's file is put (default: the temporary folder)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 2:
        parser.error("--rounds: two at least, or there is no telling noise from difference")
    options.engine = options.engine or [e for e in ENGINES if e == "sqlite" or os.environ.get(POSTGRESQL_URL)]
    options.row = options.row or names
    return options


def main() -> int:
    options = arguments()
    messages = Console(stderr=True)
    if options.engine == ["sqlite"] and not os.environ.get(POSTGRESQL_URL):
        messages.print(f"Only SQLite: {POSTGRESQL_URL} is not set. `make bench` starts a server.", style="dim")
    try:
        report = run(
            options.engine, options.row, Budget(options.seconds, options.rounds), options.folder, messages
        )
    except NoServerError as error:
        messages.print(str(error))
        return 3
    if options.markdown:
        print(report.as_markdown())
    elif options.json:
        print(report.as_json())
    else:
        report.show(Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
