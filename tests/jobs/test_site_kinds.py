"""A site's own kinds of jobs, and the checks of what its settings say of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from fieldstone.jobs import kinds
from fieldstone.jobs.checks import check_deployed_jobs, check_jobs
from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.outcomes import Done, Outcome


@dataclass(frozen=True)
class Counting(Kind):
    """A kind of a site's own."""

    name = "counting"
    action_name = "counted"
    writes = False

    def outcomes(self, chunk: Chunk, task: Task) -> Iterator[tuple[int, Outcome]]:
        for learner_id in chunk.states:
            yield learner_id, Done()


HERE = f"{__name__}.{Counting.__name__}"


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", dict(kinds.KINDS))


def test_a_sites_kind_is_there_by_its_name(registry):
    kinds.register(HERE)
    kinds.register(HERE)  # again is no harm: an app may be set up twice
    assert kinds.kind_of("counting", {}) == Counting()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.Counting", "cannot be imported"),
        (f"{__name__}.Absent", "cannot be imported"),
        (f"{__name__}.HERE", "is no subclass of"),
    ],
)
def test_a_kind_that_cannot_be_is_an_error_that_names_the_setting(registry, path, words):
    with pytest.raises(ImproperlyConfigured, match=f"JOB_KINDS of FIELDSTONE: {path}.*{words}"):
        kinds.register(path)


def test_two_kinds_of_one_name_are_refused(registry):
    kinds.KINDS["counting"] = kinds.Rescore
    with pytest.raises(ImproperlyConfigured, match="there is a kind 'counting' already"):
        kinds.register(HERE)


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({}, []),
        ({"JOBS_OVERLAP": "perhaps"}, ["fieldstone_jobs.E001"]),
        ({"JOB_LEASE_SECONDS": 0.2}, ["fieldstone_jobs.E002"]),
        ({"JOB_LEASE_SECONDS": "soon"}, ["fieldstone_jobs.E002"]),
    ],
)
def test_settings_that_jobs_do_not_understand_are_found(settings, given, ids):
    settings.FIELDSTONE = given
    assert [message.id for message in check_jobs(None)] == ids
    assert all(message.hint for message in check_jobs(None))


def test_a_site_is_warned_of_a_folder_that_does_not_last(settings):
    settings.FIELDSTONE = {}
    assert [message.id for message in check_deployed_jobs(None)] == ["fieldstone_jobs.W003"]
    settings.FIELDSTONE = {"JOBS_FOLDER": "/var/lib/jobs"}
    assert check_deployed_jobs(None) == []


def test_the_tests_site_has_no_errors():
    call_command("check", "fieldstone_jobs", fail_level="WARNING")
