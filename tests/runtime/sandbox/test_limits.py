"""Where the Python of problems is stopped, and how that is told."""

from __future__ import annotations

import venv

import pytest

from fieldstone.runtime.sandbox import SandboxLimitError, SandboxOffError, SandboxRefusedError, SandboxSettingError
from fieldstone.runtime.sandbox.limits import Limits, current_limits


def test_an_endless_loop_is_stopped(jailed):
    with pytest.raises(SandboxLimitError, match="computed for longer than 1 seconds"):
        jailed("while True: pass", seconds=1)


def test_a_loop_that_ignores_the_signal_is_stopped_too(jailed):
    with pytest.raises(SandboxLimitError, match="computed for longer than 1 seconds"):
        jailed("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", seconds=1)


def test_one_who_sleeps_is_stopped(jailed):
    with pytest.raises(SandboxLimitError, match="took longer than 1 seconds"):
        jailed("import time; time.sleep(600)", wall_seconds=1)


@pytest.mark.parametrize("bomb", ["x = 'x' * 10**9", "x = []\nwhile True: x.append('x' * 10**6 + str(len(x)))"])
def test_a_memory_bomb_is_stopped(jailed, bomb):
    with pytest.raises(SandboxLimitError, match="wanted more than 64 MB of memory"):
        jailed(bomb, memory_mb=64)


def test_a_fork_bomb_has_no_first_child(jailed):
    finished = jailed("import os\nwhile True: os.fork()")
    assert b"PermissionError" in finished.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_one_who_prints_megabytes_is_stopped(jailed, stream):
    with pytest.raises(SandboxLimitError, match="printed or kept more than 100 kB"):
        jailed(f"import sys\nwhile True: print('x' * 1000, file=sys.{stream})", output_kb=100)


def test_what_is_within_the_limits_comes_back_whole(jailed):
    finished = jailed("import sys; print(sys.stdin.read() * 2); print('aside', file=sys.stderr)", "äöü".encode())
    assert (finished.status, finished.stdout, finished.stderr) == (0, "äöüäöü\n".encode(), b"aside\n")


def test_a_mistake_of_the_program_is_told_with_its_line_and_no_path_of_the_server(jailed):
    finished = jailed("def f():\n    return 1 / 0\n\nf()\n")
    assert finished.status == 1
    assert b'File "jailed_code", line 2, in f' in finished.stderr
    assert finished.stderr.endswith(b"ZeroDivisionError: division by zero\n")
    assert b"launcher" not in finished.stderr


def test_a_program_that_ends_itself_has_failed(jailed):
    assert jailed("import sys; sys.exit()").status == 1


def test_another_python_may_be_named(jailed, tmp_path_factory):
    """This one has numpy, and an environment that was just made has not."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment)
    assert jailed("import numpy").status == 0
    bare = jailed("import numpy", interpreter=str(environment / "bin" / "python3"))
    assert b"ModuleNotFoundError" in bare.stderr


def test_a_python_that_is_not_there_is_refused(jailed):
    with pytest.raises(SandboxRefusedError, match="/no/python cannot be started: No such file or directory"):
        jailed("", interpreter="/no/python")


@pytest.mark.parametrize("value", [None, False])
def test_it_is_off_by_default(settings, value):
    settings.FIELDSTONE = {} if value is None else {"SANDBOX": value}
    with pytest.raises(SandboxOffError, match='"SANDBOX": True'):
        current_limits()


def test_true_and_an_empty_dict_turn_it_on(settings):
    for value in (True, {}):
        settings.FIELDSTONE = {"SANDBOX": value}
        assert current_limits() == Limits()


def test_limits_come_from_the_settings(settings):
    settings.FIELDSTONE = {"SANDBOX": {"seconds": 7, "memory_mb": 99}}
    assert current_limits() == Limits(seconds=7, memory_mb=99)


@pytest.mark.parametrize(
    "value",
    [{"second": 1}, {"seconds": 0}, {"seconds": "2"}, {"memory_mb": True}, {"interpreter": "python3"}, "on"],
    ids=str,
)
def test_a_limit_that_cannot_be_is_told(settings, value):
    settings.FIELDSTONE = {"SANDBOX": value}
    with pytest.raises(SandboxSettingError, match="SANDBOX"):
        current_limits()
