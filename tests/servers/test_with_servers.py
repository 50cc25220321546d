"""The real servers answer, and `scripts/with_servers.py` starts, names and stops them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg
import pytest

from scripts.servers import apt
from scripts.servers.catalogue import NEEDS

SCRIPT = Path(__file__).parents[2] / "scripts" / "with_servers.py"
SHOW = "import os; print(os.environ.get('FIELDSTONE_REDIS_URL', 'unset'), flush=True)"
SHOW_AND_WAIT = SHOW + "; import sys; sys.stdin.read()"  # until communicate() closes its input


def address_of(name: str) -> str:
    variable = NEEDS[name].variable
    if not (address := os.environ.get(variable)):
        pytest.skip(f"no {name} server: {variable} is not set; `make test` starts one")
    return address


def exchange(server: SplitResult, *messages: bytes) -> bytes:
    """What the server replies to the last message; an empty one only listens."""
    with socket.create_connection((server.hostname, server.port), timeout=10) as connection:
        for message in messages:
            connection.sendall(message)
            reply = connection.recv(4096)
    return reply


# The servers themselves


def test_postgresql_keeps_to_durable_commits() -> None:
    with psycopg.connect(address_of("postgresql")) as connection:
        settings = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert settings == [("on",), ("on",)]


def test_mariadb_lets_the_named_user_in() -> None:
    server = urlsplit(address_of("mariadb"))
    if server.password:
        pytest.skip("this test logs in without a password; FIELDSTONE_MARIADB_URL has one")
    user = (server.username or "root").encode()
    capabilities = 0x00200 | 0x08000 | 0x80000  # protocol 4.1, secure connection, named plugin
    login = capabilities.to_bytes(4, "little") + bytes.fromhex("00000001 2d") + bytes(23)
    login += user + b"\0" + b"\0" + b"mysql_native_password\0"
    ping = b"\x01\0\0\0" + b"\x0e"
    reply = exchange(server, b"", len(login).to_bytes(3, "little") + b"\x01" + login, ping)
    assert reply[3:5] == b"\x01\0", reply  # the first reply to the ping: OK


def test_redis_answers_a_ping() -> None:
    assert exchange(urlsplit(address_of("redis")), b"PING\r\n") == b"+PONG\r\n"


def test_memcached_gives_back_what_was_set() -> None:
    server = urlsplit("//" + address_of("memcached"))
    reply = exchange(server, b"set fieldstone 0 9 5\r\nstone\r\n", b"get fieldstone\r\n")
    assert reply == b"VALUE fieldstone 0 5\r\nstone\r\nEND\r\n"


def test_rabbitmq_names_itself() -> None:
    reply = exchange(urlsplit(address_of("rabbitmq")), b"AMQP\0\0\x09\x01")
    assert b"RabbitMQ" in reply, reply


@pytest.mark.browser
def test_chromium_renders_what_a_script_wrote(tmp_path: Path) -> None:
    chromium = address_of("chromium")
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    options += " --disable-background-networking --disable-component-update --dump-dom"
    page = "data:text/html,<p id=sum></p><script>sum.textContent = 40 + 2</script>"
    done = subprocess.run(
        [chromium, *options.split(), f"--user-data-dir={tmp_path}", page],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '<p id="sum">42</p>' in done.stdout, done.stderr


# The script


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for the script's data, where the servers' users can go too (they cannot enter tmp_path)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the script for Redis, in an environment that names no server."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, only: str = "redis", **more: str) -> subprocess.Popen[str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("FIELDSTONE_", "CI"))}
        words = [sys.executable, SCRIPT, "--no-install", "--only", only, "--", sys.executable, "-c"]
        script = subprocess.Popen(
            [*words, program],
            env={**plain, "TMPDIR": str(place), **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(script)
        return script

    yield start
    for script in started:
        if script.poll() is None:
            script.terminate()
        script.communicate(timeout=30)


@pytest.fixture
def redis_here() -> Path:
    if not (program := NEEDS["redis"].program):
        pytest.skip("no redis-server: it is not installed; `make test` as root on Debian installs it")
    return program


def result(script: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = script.communicate(timeout=60)
    return script.returncode, out.strip(), err


def is_open(url: str) -> bool:
    server = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((server.hostname, server.port)) == 0


def closes(url: str) -> bool:
    deadline = time.monotonic() + 10
    while is_open(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_open(url)


def test_the_exit_status_is_the_commands(start, redis_here) -> None:
    assert result(start("raise SystemExit(7)"))[0] == 7
    assert result(start("import os; os.kill(os.getpid(), 9)"))[0] == 128 + 9


def test_the_server_is_up_during_the_command_and_gone_after_it(start, place, redis_here) -> None:
    script = start(SHOW_AND_WAIT)
    url = script.stdout.readline().strip()
    assert 20_000 <= urlsplit(url).port < 32_768
    assert exchange(urlsplit(url), b"PING\r\n") == b"+PONG\r\n"
    assert result(script)[0] == 0
    assert not is_open(url)
    assert list(place.iterdir()) == []


def ports_of(user: str) -> set[tuple[str, int]]:
    """Addresses and ports that this user's processes wait for connections on, by Linux's tables."""
    tables = [Path("/proc/net", name).read_text().splitlines() for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    waiting = [words[1] for words in lines if words[3] == "0A" and words[7] == str(pwd.getpwnam(user).pw_uid)]
    return {(address, int(port, 16)) for address, _, port in (each.partition(":") for each in waiting)}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="looks at the processes of another user")
def test_rabbitmq_opens_one_port_on_loopback_and_leaves_nothing(start, place) -> None:
    address_of("rabbitmq")  # it takes seconds to start: not in the run without servers
    if not NEEDS["rabbitmq"].program:
        pytest.skip("no rabbitmq-server: it is not installed; `make test` as root on Debian installs it")
    before = ports_of("rabbitmq")
    script = start(SHOW_AND_WAIT.replace("REDIS", "RABBITMQ"), only="rabbitmq")
    url = script.stdout.readline().strip()
    assert ports_of("rabbitmq") - before == {("0100007F", urlsplit(url).port)}
    assert result(script)[0] == 0
    assert ports_of("rabbitmq") <= before
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_script_leaves_neither_server_nor_folder(start, place, redis_here, number) -> None:
    script = start(SHOW_AND_WAIT)
    url = script.stdout.readline().strip()
    assert is_open(url)
    script.send_signal(number)
    assert script.wait(timeout=60) == 128 + number
    assert not is_open(url)
    assert list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_script_takes_its_server_along(start, redis_here) -> None:
    script = start(SHOW_AND_WAIT)
    url = script.stdout.readline().strip()
    assert is_open(url)
    script.kill()
    assert closes(url)


def test_a_set_variable_is_passed_on_and_nothing_is_started(start, fake) -> None:
    mine = "redis://mine.invalid:1/0"
    status, out, err = result(start(SHOW, FIELDSTONE_REDIS_URL=mine, CI="true", **fake("exit 1")))
    assert (status, out) == (0, mine)
    assert "redis as FIELDSTONE_REDIS_URL says" in err


def test_an_unknown_name_is_refused_with_the_known_ones(start) -> None:
    status, _, err = result(start(SHOW, only="redis,oracle"))
    assert status == 2
    assert "'oracle'" in err
    assert all(name in err for name in NEEDS)


def test_a_missing_server_is_skipped_with_its_remedy(start, place) -> None:
    status, out, err = result(start(SHOW, PATH="", FIELDSTONE_SERVER_PATH=str(place)))
    assert (status, out) == (0, "unset")
    assert "no redis: redis-server is not installed. Next: apt-get install redis-server" in err


def test_a_missing_server_fails_under_ci(start, place) -> None:
    status, out, err = result(start(SHOW, PATH="", FIELDSTONE_SERVER_PATH=str(place), CI="true"))
    assert (status, out) == (3, "")
    assert "redis-server is not installed" in err


@pytest.fixture
def fake(place: Path) -> Callable[[str], dict[str, str]]:
    """The environment in which redis-server is this shell script."""

    def fake(text: str) -> dict[str, str]:
        (place / "bin").mkdir()
        program = place / "bin" / "redis-server"
        program.write_text(f"#!{shutil.which('sh')}\n{text}\n")
        program.chmod(0o755)
        return {"PATH": str(program.parent) + os.pathsep + os.environ["PATH"]}

    return fake


def test_a_server_that_does_not_start_shows_its_log_and_fails_under_ci(start, fake) -> None:
    status, out, err = result(start(SHOW, CI="true", **fake("echo the disk is made of cheese; exit 4")))
    assert (status, out) == (3, "")
    assert "ended at once (status 4)" in err
    assert "| the disk is made of cheese" in err


def test_a_lost_race_for_the_port_is_run_again(start, fake, place, redis_here) -> None:
    lose_once = f'mkdir {place}/lost 2>/dev/null && exit 1; exec {redis_here} "$@"'
    status, out, _ = result(start(SHOW, **fake(lose_once)))
    assert (place / "lost").is_dir()
    assert (status, out[:8]) == (0, "redis://")


def test_daemons_are_held_back_only_while_packages_are_installed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(apt, "POLICY", policy := tmp_path / "policy-rc.d")
    with apt.no_daemons():
        assert subprocess.run([policy, "redis-server", "start"]).returncode == 101
    assert not policy.exists()


def test_a_policy_that_was_there_stays_as_it_was(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(apt, "POLICY", policy := tmp_path / "policy-rc.d")
    policy.write_text("theirs")
    with apt.no_daemons():
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"
