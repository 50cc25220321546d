"""Many learners at once on a page of a course: how fast it answers, and that nothing acknowledged is lost.

examples:
  python scripts/with_servers.py --only postgresql -- python -m bench.learners
  python -m bench.learners --engine sqlite --learners 10 --think 0
  python -m bench.learners --kill 3            three times a worker of the server is killed with kill -9
  python -m bench.learners --rush --learners 30 --workers 4

Each learner is signed in, loads a page of problems, a poll, a word cloud and a mark, answers them over HTTP
in an order of their own, and looks at the page again between. Afterwards every answer, attempt, grade, vote and
word is looked for in the database, in the state and in its history.

exit status: 0; 1 something is not stored as a learner was told; 2 wrong use; 3 the engine has no server, or the
web server did not start.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings

import django

# Of the package `fs`, which XBlock needs; constraints.txt pins the setuptools that it works with.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
os.environ.setdefault("PYTHONWARNINGS", "ignore:pkg_resources is deprecated")  # in the server

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()  # before the models are imported

from rich.console import Console  # noqa: E402

from bench import databases  # noqa: E402
from bench.databases import NoServerError  # noqa: E402
from bench.learners import report  # noqa: E402
from bench.learners.run import Task, run  # noqa: E402
from bench.learners.server import SETTINGS, ServerError  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.learners", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--engine", choices=list(databases.ENGINES), default="prepared", help="default: PostgreSQL, prepared")
    add("--learners", type=int, default=200, help="default: %(default)s")
    add("--problems", type=int, default=20, help="on the page (default: %(default)s)")
    add("--think", type=float, default=5.0, help="seconds between two actions, on average (default: %(default)s)")
    add("--seed", type=int, default=7, help="of all that is random (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes of the server (default: %(default)s)")
    add("--threads", type=int, default=8, help="of each of them (default: %(default)s)")
    add("--kill", type=int, default=0, metavar="TIMES", help="kill a worker so many times, spread over the run")
    add("--rush", action="store_true", help="no visits: all vote at once, and one sends many answers at once")
    add("--settings", default=SETTINGS, metavar="MODULE", help="of the server (default: %(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if min(options.learners, options.problems, options.workers, options.threads) < 1:
        parser.error("--learners, --problems, --workers and --threads: one at least")
    if min(options.think, options.kill) < 0:
        parser.error("--think and --kill: not below 0")
    return options


def main() -> int:
    options = arguments()
    task = Task(
        options.engine,
        options.learners,
        options.problems,
        options.think,
        options.seed,
        options.workers,
        options.threads,
        options.kill,
        options.rush,
        options.settings,
    )
    try:
        result = run(task)
    except (NoServerError, ServerError) as error:
        print(error, file=sys.stderr)
        return 3
    if result.log and not options.json:
        print(f"The server's log ends:\n{result.log}", file=sys.stderr)
    if options.json:
        print(report.as_json(result))
    elif options.markdown:
        print(report.as_markdown(result))
    else:
        report.show(result, Console())
    return 1 if result.lost else 0


if __name__ == "__main__":
    sys.exit(main())
