"""What ``manage.py check`` says of the sandbox."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks

from fieldstone.runtime.sandbox import check_sandbox, launcher
from fieldstone.runtime.sandbox import runner as runner_module


def found(settings, value):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": value}
    return [(message.id, message.msg) for message in check_sandbox(None)]


def test_nothing_is_said_where_it_is_off_and_where_it_holds(settings):
    assert found(settings, None) == []
    assert found(settings, True) == []


def test_it_is_registered(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {"second": 1}}
    assert "fieldstone_runtime.E301" in [message.id for message in run_checks()]


def test_true_and_a_dict_are_of_the_right_type(settings):
    for value in (True, {"seconds": 2}, None):
        settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": value}
        assert "fieldstone_store.E103" not in [message.id for message in run_checks()]


def test_a_wrong_limit_is_an_error(settings):
    ((code, text),) = found(settings, {"second": 1})
    assert code == "fieldstone_runtime.E301"
    assert "'second'" in text


def test_a_python_that_does_not_start_is_an_error(settings):
    ((code, text),) = found(settings, {"interpreter": "/no/python"})
    assert code == "fieldstone_runtime.E302"
    assert "/no/python" in text


def test_settings_among_the_files_that_it_reads_are_an_error(settings, monkeypatch):
    """As where a project is installed into the same environment."""
    within = importlib.import_module("xblock")  # a file of the environment
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "xblock")
    assert Path(within.__file__).is_relative_to(sys.prefix)
    ((code, text),) = found(settings, True)
    assert code == "fieldstone_runtime.E303"
    assert text.endswith(f"can read {within.__file__}.")


WEAKENED = {
    "_restrict_files": "read other files",
    "_restrict_calls": "use the network",
}


@pytest.mark.parametrize("part", WEAKENED)
def test_a_hole_is_found(settings, monkeypatch, tmp_path, part):
    """The launcher without one of its parts: the check tries what the part forbids."""
    weak = tmp_path / "launcher.py"
    source = Path(launcher.__file__).read_text()
    weak.write_text(source.replace(f"    {part}()\n", ""))
    assert weak.read_text() != source
    monkeypatch.setattr(runner_module.launcher, "__file__", str(weak))
    ((code, text),) = found(settings, True)
    assert code == "fieldstone_runtime.E303"
    assert WEAKENED[part] in text


def test_what_the_kernel_refuses_is_told_and_nothing_is_run(settings, monkeypatch, tmp_path):
    """A launcher that asks the kernel for a call that there is not."""
    strange = tmp_path / "launcher.py"
    source = Path(launcher.__file__).read_text()
    strange.write_text(source.replace("= 444, 445, 446", "= 9444, 9445, 9446"))
    monkeypatch.setattr(runner_module.launcher, "__file__", str(strange))
    ((code, text),) = found(settings, True)
    assert code == "fieldstone_runtime.E302"
    assert "Landlock: Function not implemented" in text
