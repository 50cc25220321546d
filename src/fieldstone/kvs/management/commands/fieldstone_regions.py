"""``manage.py fieldstone_regions``: do the regions' servers answer, and how do the processes do that use them?"""

from __future__ import annotations

import json
import math
import sys
import time
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from fieldstone import conf
from fieldstone.errors import RegionConfigurationError
from fieldstone.kvs.management.reports import ANSWERS, Report, report
from fieldstone.kvs.management.tables import Table, screen
from fieldstone.kvs.publishing import KEPT, SLOTS, Published
from fieldstone.kvs.regions import regions
from fieldstone.kvs.statistics import BOUNDS, Snapshot

EXAMPLES = """examples:
  manage.py fieldstone_regions
  manage.py fieldstone_regions sessions pages
  manage.py fieldstone_regions --watch 2
  manage.py fieldstone_regions --json | jq '.[] | select(.state != "answers")'

Counts are sums over the processes that use a region and have told theirs lately; of regions that are named, each
process is listed. "50 % ms" and "99 % ms" are the times that half, and 99 of 100, of the calls stayed under; K, M
and G of bytes are of 1,024. --json has all that by process, in full. With --watch it goes on until Ctrl-C; --json
then writes one line each time.

exit status: 0 all answer; 1 some do not, or are not configured rightly; 2 wrong use.
"""
NOTE = (
    f"Counts are of the processes that told theirs in the last {KEPT / 60:g} minutes, {SLOTS} a region at most,"
    " each since it began. A dash: nobody tells."
)


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's help, with the lines of the examples as they are."""


class Command(BaseCommand):
    help = "Show the regions: where they are, whether their servers answer, and what all processes did with them."
    requires_system_checks = ()  # a region that is wrong is what it is there to show

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"formatter_class": _Formatter, "epilog": EXAMPLES}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="regions; default: all of the settings")
        parser.add_argument("--json", dest="as_json", action="store_true", help="for programs, with all figures")
        parser.add_argument("--watch", type=_seconds, metavar="SECONDS", help="again and again, so often")

    def handle(self, *args: Any, names: Sequence[str], as_json: bool, watch: float | None, **options: Any) -> None:
        chosen = _chosen(names)
        out = options.get("stdout") or sys.stdout
        reports: list[Report] = []
        try:
            with screen(out, is_live=watch is not None) as show:
                while True:
                    reports = [report(name) for name in chosen]
                    if as_json:
                        out.write(_written(reports, indent=2 if watch is None else None))
                    else:
                        show(_tables(reports, with_processes=bool(names)), NOTE)
                    if watch is None:
                        break
                    time.sleep(watch)
        except KeyboardInterrupt:  # how --watch is ended
            pass
        if any(found.state != ANSWERS for found in reports):
            sys.exit(1)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _chosen(names: Sequence[str]) -> list[str]:
    known = sorted(conf.regions())
    if not known and not names:
        raise CommandError("There are no regions: name some in settings.FIELDSTONE['REGIONS'].", returncode=2)
    for name in names:
        try:
            is_known = name in known or regions[name].is_configured
        except RegionConfigurationError as error:
            raise CommandError(str(error), returncode=2) from error
        if not is_known:
            raise CommandError(
                f"There is no region {name!r}. The settings have: {', '.join(known) or 'none'}.", returncode=2
            )
    return list(dict.fromkeys(names)) or known


def _written(reports: Sequence[Report], indent: int | None) -> str:
    return json.dumps([found.as_json() for found in reports], indent=indent) + "\n"


def _tables(reports: Sequence[Report], *, with_processes: bool) -> list[Table]:
    alarming = frozenset(number for number, found in enumerate(reports) if found.state != ANSWERS)
    tables = [
        Table(("region", "backend", "state"), [_where(found) for found in reports], alarming),
        Table(("region", " procs", *_COUNTS), [_sums(found) for found in reports]),
    ]
    if with_processes:
        told = [found for found in reports if found.processes]
        tables += [
            Table((found.region, " told", *_COUNTS), list(map(_of_process, found.processes))) for found in told
        ]
    return tables


def _where(found: Report) -> Sequence[str]:
    state = f"{found.state}: {found.reason}" if found.reason else f"{found.state} in {found.milliseconds:.2g} ms"
    server = ", ".join(f"{name} {figure}" for name, figure in found.server.items())
    return found.region, f"{found.backend} {found.address}".strip() or "-", f"{state}\n{server}".strip()


def _sums(found: Report) -> Sequence[str]:
    if not found.publishes:
        return found.region, "-", *("-" for _ in _COUNTS)
    return found.region, str(len(found.processes)), *_counts(found.counts)


def _of_process(process: Published) -> Sequence[str]:
    return f"{process.host} {process.pid}", f"{process.age:.0f} s ago", *_counts(process.counts)


_COUNTS = (" hits", " misses", " ratio", " errors", " read", " written", " 50 % ms", " 99 % ms")


def _counts(counts: Snapshot) -> Sequence[str]:
    ratio = counts.hit_ratio
    return (
        _short(counts.hits),
        _short(counts.misses),
        "-" if ratio is None else f"{math.floor(ratio * 1000) / 10:g} %",  # 100 % is no miss at all
        _short(counts.errors + counts.refused),
        _size(counts.bytes_read),
        _size(counts.bytes_written),
        _latency(counts.quantile(0.5)),
        _latency(counts.quantile(0.99)),
    )


def _short(count: int) -> str:
    """Exact up to 99,999; with three digits beyond."""
    for limit, unit in ((100_000, ""), (10**6, "k"), (10**9, "M"), (10**12, "G")):
        if count < limit:
            scale = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[unit]
            return f"{count:,}" if scale == 1 else f"{count / scale:.3g} {unit}"
    return f"{count:.2e}"


def _size(count: int) -> str:
    for scale, unit in ((2**30, "G"), (2**20, "M"), (2**10, "K")):
        if count >= scale:
            return f"{count / scale:,.1f}{unit}"
    return str(count)


def _latency(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"> {BOUNDS[-1] * 1000:g}" if math.isinf(seconds) else f"{seconds * 1000:g}"
