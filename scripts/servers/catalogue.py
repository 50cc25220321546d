"""What the tests want, and how each is found, prepared, started, recognised and stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import Signals


def find(program: str) -> Path | None:
    """The program on PATH or in the places that are seldom on it: /usr/sbin, the newest PostgreSQL."""
    places = os.environ.get("FIELDSTONE_SERVER_PATH", "").split(os.pathsep)
    if not any(places):
        releases = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
        newest_first = sorted(releases, key=lambda place: -int(place.parent.name))
        places = ["/usr/local/sbin", "/usr/sbin", "/sbin", *map(str, newest_first)]
    searched = [*os.environ.get("PATH", "").split(os.pathsep), *places]
    found = shutil.which(program, path=os.pathsep.join(filter(None, searched)))
    return Path(found) if found else None


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something the tests want. In `prepare` and `command`: {program}, its {base}, {data} and {port}."""

    name: str
    programs: tuple[str, ...]  # the first one found is used
    packages: tuple[str, ...]
    url: str = ""
    user: str = "nobody"  # who runs it when we are root
    prepare: str = ""
    command: str = ""  # none: the program is all that is needed
    hello: bytes = b""
    answer: re.Pattern[bytes] = re.compile(b"")  # what a ready server replies; group 1 is its version
    stop: Signals = signal.SIGTERM

    @property
    def variable(self) -> str:
        return f"FIELDSTONE_{self.name.upper()}" + ("_URL" if self.command else "")

    @property
    def program(self) -> Path | None:
        return next(filter(None, map(find, self.programs)), None)

    @property
    def remedy(self) -> str:
        return f"apt-get install {' '.join(self.packages)}, or set {self.variable} to one you have"


PG_STARTUP = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"
PG_TERMINATE = b"X\0\0\0\4"
LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"

# Variables of RabbitMQ, which has no options: all that it reads and writes is in the data's folder.
RABBITMQ_FOLDERS = (
    "HOME={data} RABBITMQ_MNESIA_BASE={data} RABBITMQ_LOG_BASE={data} RABBITMQ_PID_FILE={data}/pid"
    " RABBITMQ_LOGS=- RABBITMQ_LOG=warning"
    " RABBITMQ_CONFIG_FILE={data}/rabbitmq RABBITMQ_ADVANCED_CONFIG_FILE={data}/advanced"
    " RABBITMQ_CONF_ENV_FILE={data}/env RABBITMQ_ENABLED_PLUGINS_FILE={data}/plugins"
)
# No other node joins it: it needs no port for them, nor the daemon that tells it (epmd), which would stay behind.
# Each minute it would have that started, by an Erlang of its own; so this is said to every Erlang.
# With input allowed its script becomes the server, which has none all the same; else a shell would stand between.
RABBITMQ_ALONE = (
    "RABBITMQ_NODENAME=fieldstone@{host} RABBITMQ_USE_LONGNAME=true RABBITMQ_ALLOW_INPUT=true"
    " RABBITMQ_SERVER_START_ARGS='-noinput -name fieldstone@{host} -erl_epmd_port {port}'"
    " ERL_ZFLAGS='-dist_listen false -start_epmd false'"
)

NEEDS = {
    need.name: need
    for need in (
        Need(
            name="postgresql",
            programs=("postgres",),
            packages=("postgresql",),
            user="postgres",
            url="postgresql://postgres@{host}:{port}/postgres",
            prepare="{base}/bin/initdb --pgdata={data} --username=postgres --auth=trust --encoding=UTF8"
            f" --locale={LOCALE} --no-sync",
            command="{program} -D {data} -c listen_addresses={host} -c port={port}"
            " -c unix_socket_directories= -c shared_buffers=256MB -c max_connections=100",
            hello=(len(PG_STARTUP) + 4).to_bytes(4) + PG_STARTUP + PG_TERMINATE,
            answer=re.compile(rb"server_version\0([\w.]+)[ \0]"),
            stop=signal.SIGINT,  # "fast": SIGTERM would wait until every client has left
        ),
        Need(
            name="mariadb",
            programs=("mariadbd",),
            packages=("mariadb-server",),
            user="mysql",
            url="mysql://root@{host}:{port}/",
            prepare="{base}/bin/mariadb-install-db --no-defaults --basedir={base} --datadir={data}"
            " --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve",
            command="{program} --no-defaults --basedir={base} --datadir={data} --bind-address={host}"
            " --port={port} --socket={data}/socket --pid-file={data}/pid --skip-name-resolve"
            " --character-set-server=utf8mb4 --collation-server=utf8mb4_bin"
            " --innodb-buffer-pool-size=256M --max-allowed-packet=64M",
            answer=re.compile(rb"\n(?:5\.5\.5-)?([\d.]+)-MariaDB"),  # it speaks first
        ),
        Need(
            name="redis",
            programs=("redis-server",),
            packages=("redis-server",),
            user="redis",
            url="redis://{host}:{port}/0",
            command="{program} --daemonize no --bind {host} --port {port} --dir {data} --save ''",
            hello=b"INFO server\r\n",
            answer=re.compile(rb"redis_version:([\d.]+)\r"),
        ),
        Need(
            name="memcached",
            programs=("memcached",),
            packages=("memcached",),
            user="memcache",
            url="{host}:{port}",
            command="{program} -l {host} -p {port} -U 0 -m 64",
            hello=b"version\r\n",
            answer=re.compile(rb"VERSION ([\d.]+)\r"),
        ),
        Need(
            name="rabbitmq",
            # Debian's own face of it leaves for /var/lib; what is behind that goes where it is told.
            programs=("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
            packages=("rabbitmq-server",),
            user="rabbitmq",
            url="amqp://guest:guest@{host}:{port}//",
            command=f"env {RABBITMQ_FOLDERS} {RABBITMQ_ALONE}"
            " RABBITMQ_NODE_IP_ADDRESS={host} RABBITMQ_NODE_PORT={port} {program}",
            hello=b"AMQP\0\0\x09\x01",
            answer=re.compile(rb"\x07versionS.{4}([\d.]+)", re.DOTALL),
        ),
        Need(
            name="pgbouncer",  # the tests start their own before PostgreSQL
            programs=("pgbouncer",),
            packages=("pgbouncer",),
        ),
        Need(
            name="chromium",
            programs=("chromium", "chromium-browser", "google-chrome"),
            packages=("chromium", "fonts-dejavu-core"),
        ),
    )
}
