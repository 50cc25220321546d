"""Measure Fieldstone against the bare driver or client at the same work, both in one run and in turns.

examples:
  make bench                                       all but `size`, with servers that are started for it
  make bench ARGS="--row size --plans"             ten million states on PostgreSQL beside ten thousand
  python -m bench --engine sqlite                  no server needed
  python -m bench --engine sqlite --row save-one --row save-20 --seconds 10
  python -m bench --engine redis --row region-get  regions beside the raw client, and beside what others offer
  python -m bench --rounds 500 --markdown > table.md

Servers' addresses are read from FIELDSTONE_POSTGRESQL_URL, FIELDSTONE_MARIADB_URL, FIELDSTONE_REDIS_URL and
FIELDSTONE_MEMCACHED_URL; engines without one are left out. Databases are made for the run and dropped after it;
what is put into Redis and memcached goes by itself within an hour.

exit status: 0; 1 a statement reads a whole table (row `size`), or fields were lost; 2 wrong use; 3 an engine that
was asked for has no server.
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
os.environ.setdefault("PYTHONWARNINGS", "ignore:pkg_resources is deprecated")  # in processes that are started

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()  # before the models are imported

from rich.console import Console  # noqa: E402

from bench import databases, regions, report, scale  # noqa: E402
from bench.databases import NoServerError  # noqa: E402
from bench.measuring import Budget  # noqa: E402
from bench.run import BY_DEFAULT, NAMES, PLACES, Task, names_on, run  # noqa: E402
from bench.workload import SMALL, Volume  # noqa: E402

URLS = databases.URLS | regions.URLS


def available() -> list[str]:
    """The databases and servers that can be measured here."""
    return [*databases.available(), *regions.available()]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--engine", action="append", choices=list(PLACES), help="repeat it for more (default: all there are)")
    add(
        "--row",
        action="append",
        choices=NAMES,
        metavar="ROW",
        help=f"repeat it for more; of {', '.join(NAMES)} (default: all but {scale.NAME})",
    )
    add("--seconds", type=float, default=2.0, help="a row, on each engine (default: %(default)s)")
    add("--rounds", type=int, help="a row, on each engine, however long they take")
    add("--small", action="store_true", help="little data, to try the benchmark itself; its figures mean nothing")
    add("--states", type=int, default=scale.STATES, help="of the row `size` (default: %(default)s)")
    add("--plans", action="store_true", help="print the plans that the row `size` has looked at")
    add("--folder", type=Path, help="where SQLite's file is put (default: the temporary folder)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 2:
        parser.error("--rounds: two at least, or there is no telling noise from difference")
    options.engine = options.engine or available()
    options.row = options.row or BY_DEFAULT
    if scale.NAME in options.row and "postgresql" not in options.engine:
        parser.error(f"--row {scale.NAME}: needs PostgreSQL, and {URLS['postgresql']} is not set")
    if not any(names_on(engine, options.row) for engine in options.engine):
        parser.error(f"none of these rows is measured on {', '.join(options.engine)}")
    return options


def main() -> int:
    options = arguments()
    messages = Console(stderr=True)
    missing = dict.fromkeys(URLS[engine] for engine in PLACES if engine not in available())
    if missing and options.engine == available():
        messages.print(f"Not set: {', '.join(missing)}. `make bench` starts the servers.", style="dim")
    task = Task(
        options.engine,
        options.row,
        Budget(options.seconds, options.rounds),
        SMALL if options.small else Volume(),
        options.states,
        options.folder,
    )
    try:
        found = run(task, messages)
    except NoServerError as error:
        messages.print(str(error))
        return 3
    if options.markdown:
        print(report.as_markdown(found))
    elif options.json:
        print(report.as_json(found))
    else:
        report.show(found, Console())
    if options.plans:
        for plan in found.plans:
            messages.print(str(plan), markup=False, highlight=False)
    try:
        scale.check(found.plans)
    except scale.WholeTableError as error:
        messages.print(f"These read a table from end to end:\n{error}", markup=False, highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
