"""The benchmark itself, on very little data: it runs, both sides agree, and it says what it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.databases import ENGINES, available

ROOT = Path(__file__).resolve().parents[2]

# It takes ten seconds even on SQLite alone, which the run without servers has not got.
pytestmark = pytest.mark.skipif(available() == ["sqlite"], reason="`make test` tries the benchmark")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "--small", "--rounds", "2", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def found_on(engine: str, *arguments: str) -> dict:
    done = bench("--engine", engine, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_and_amounts_are_measured_on_each_engine(engine):
    """Both sides of each row hold the same data before and after, or the run would have failed."""
    if engine not in available():
        pytest.skip(f"{ENGINES[engine]} is not there; `make test` starts it")
    rows = (
        "prefetch-10",
        "prefetch-scopes-xblock",
        "save-20",
        "save-preferences",
        "history-50",
        "scan",
        "writers",
    )
    # What is weighed does not depend on who prepares statements.
    amounts = () if engine == "prepared" else ("history-bytes", "row-bytes", "scan-memory")
    found = found_on(engine, *(word for name in (*rows, *amounts) for word in ("--row", name)))
    assert [row["row"] for row in found["rows"]] == list(rows)
    assert all(row["rounds"] == 2 and row["ratio"] > 0 for row in found["rows"])
    assert {amount["name"] for amount in found["amounts"]} == set(amounts)
    assert all(amount["value"] > 0 and amount["note"] for amount in found["amounts"])


def test_a_row_of_its_own_is_printed_as_markdown():
    done = bench("--engine", "sqlite", "--row", "prefetch-10", "--markdown")
    assert done.returncode == 0, done.stderr
    heading, rule, line = [text for text in done.stdout.splitlines() if text.startswith("|")]
    assert heading.count("|") == rule.count("|") == line.count("|")
    assert "prefetch of 10 blocks | Store | SQLite" in line


def test_an_engine_without_a_server_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("FIELDSTONE_POSTGRESQL_URL", raising=False)
    done = bench("--engine", "postgresql", "--row", "prefetch-10")
    assert done.returncode == 3
    assert "FIELDSTONE_POSTGRESQL_URL is not set" in " ".join(done.stderr.split())


@pytest.mark.skipif("postgresql" not in available(), reason="PostgreSQL is not there; `make test` starts it")
def test_no_statement_of_the_store_reads_a_whole_table():
    """The plans in a table of 100,000 states; the benchmark's own row asks for them in one of ten millions."""
    done = bench("--engine", "postgresql", "--row", "size", "--states", "100000", "--json", "--plans")
    assert done.returncode == 0, done.stderr[-5_000:]
    assert "Index Scan using fieldstone_student_module_pkey" in done.stderr
    sizes = json.loads(done.stdout)["sizes"]
    assert [size["title"] for size in sizes][:2] == ["prefetch of 1,000 blocks", "prefetch of 10 blocks"]


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "prepared"])
def test_what_the_test_kit_adds_is_measured_on_each_engine(engine):
    if engine not in available():
        pytest.skip(f"{ENGINES[engine]} is not there; `make test` starts it")
    found = found_on(engine, "--row", "test-kit", "--rounds", "2")["kit"]
    assert [row["title"] for row in found][:2] == ["frozen clock", "query budget"]
    assert all(row["floor"]["median"] > 0 and row["rounds"] == 2 for row in found)
