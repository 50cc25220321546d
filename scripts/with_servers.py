"""Run a command with real servers: start them on loopback, export their addresses, stop them after.

examples:
  python scripts/with_servers.py -- python -m pytest
  python scripts/with_servers.py --only postgresql,chromium -- python -m pytest tests/store
  FIELDSTONE_POSTGRESQL_URL=postgresql://me@db/scratch python scripts/with_servers.py -- python -m pytest

A variable that is set already names your own server: it is passed on, and nothing is started for it.
On Debian, as root, missing packages are installed with apt-get. Elsewhere, or with --no-install, a missing
server is skipped with a line that says how to get it. With CI=true in the environment, a server that is
missing or does not start is a failure.

FIELDSTONE_SERVER_PATH  directories to search after PATH, in place of /usr/sbin and its like
TMPDIR                  where the throw-away folder with the servers' data goes

exit status: COMMAND's own (128 + N after signal N); 2 wrong use; 3 a server is missing and CI=true;
127 COMMAND cannot be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from servers.catalogue import NEEDS, Need
from servers.session import Session
from servers.system import say


async def main(needs: Sequence[Need], may_install: bool, command: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="fieldstone-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the servers' users have to pass through
        session, began = Session(folder), time.monotonic()
        session.watch()
        try:
            await session.provide(needs, may_install)
            for failure in session.failures:
                say(failure)
            if session.failures and os.environ.get("CI", "").lower() == "true":
                say("CI=true, so that is a failure")
                return 3
            say(f"servers: {', '.join(session.ready) or 'none'}; ready in {time.monotonic() - began:.1f} s")
            return await session.run(command)
        except asyncio.CancelledError:
            if not session.received:
                raise
            say(f"stopped by {session.received.name} before the command began")
            return 128 + session.received
        finally:
            await session.close()


def known(names: str) -> list[Need]:
    try:
        return [NEEDS[name] for name in names.split(",")]
    except KeyError as unknown:
        message = f"no server is named {unknown}. Known: {', '.join(NEEDS)}"
        raise argparse.ArgumentTypeError(message) from None


def arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, Sequence[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        usage="%(prog)s [--only NAMES] [--no-install] -- COMMAND...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", type=known, default=list(NEEDS.values()), metavar="NAMES", help=f"of {','.join(NEEDS)}"
    )
    parser.add_argument("--no-install", action="store_true", help="skip what is missing, install nothing")
    end = argv.index("--") if "--" in argv else len(argv)
    options = parser.parse_args(argv[:end])
    if not argv[end + 1 :]:
        parser.error("there is no COMMAND. Next: write it after --, as in: -- python -m pytest")
    return options, argv[end + 1 :]


if __name__ == "__main__":
    options, command = arguments(sys.argv[1:])
    sys.exit(asyncio.run(main(options.only, not options.no_install, command)))
