"""Jobs over an exam of many learners, made by a seed.

examples:
  python -m bench.jobs troubles                    50 workers killed, and more: does it end as if nothing had been?
  python -m bench.jobs troubles --learners 200 --kills 5 --broker rabbitmq
  python scripts/with_servers.py --only postgresql -- python -m bench.jobs figures

`troubles` starts a PostgreSQL and a broker of its own, which it kills and starts again.

exit status: 0; 1 the disturbed run ended otherwise than the undisturbed one; 2 wrong use; 3 a server is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings

import django

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
os.environ.setdefault("PYTHONWARNINGS", "ignore:pkg_resources is deprecated")  # in the workers

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()  # before the models are imported


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.jobs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["troubles", "figures"])
    add = parser.add_argument
    add("--problems", type=int, default=200, help="of the exam (default: %(default)s)")
    add("--learners", type=int, default=10_000, help="default: %(default)s")
    add(
        "--rescored",
        type=int,
        default=2,
        metavar="PROBLEMS",
        help="by the job of `troubles` (default: %(default)s)",
    )
    add("--kills", type=int, default=50, help="of workers, in `troubles` (default: %(default)s)")
    add("--lease", type=float, default=5.0, help="seconds, in `troubles` (default: %(default)s)")
    add("--broker", choices=["redis", "rabbitmq"], default="redis", help="of `troubles` (default: %(default)s)")
    add("--rounds", type=int, default=3, help="of `figures` (default: %(default)s)")
    add("--seed", type=int, default=8, help="of all that is random (default: %(default)s)")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    return troubles(options) if options.what == "troubles" else figures(options)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def troubles(options: argparse.Namespace) -> int:
    from bench.jobs import report
    from bench.jobs.run import Task, run
    from scripts.servers.instance import MissingServerError

    task = Task(
        options.problems,
        options.learners,
        options.rescored,
        options.kills,
        options.lease,
        options.broker,
        options.seed,
    )
    try:
        result = run(task, say)
    except MissingServerError as error:
        print(error, file=sys.stderr)
        return 3
    print(report.of_troubles(result))
    return 0 if result.is_same else 1


def figures(options: argparse.Namespace) -> int:
    from bench.databases import NoServerError
    from bench.jobs import report
    from bench.jobs.figures import measure

    try:
        found = measure(options.problems, options.learners, options.rounds, options.seed, say)
    except NoServerError as error:
        print(error, file=sys.stderr)
        return 3
    print(report.of_figures(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
