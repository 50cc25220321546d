"""The docs say what the code does: their code runs, their links lead somewhere, nothing is left out."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fieldstone import conf, testing

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "example").rglob("*.md")])


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/open-edx.md", "docs/how-to/regions.md"])
def test_the_code_of_a_page_prints_what_the_page_says(tmp_path, page):
    code, output = re.findall(r"```(?:python|text)\n(.*?)```", (ROOT / page).read_text(), re.S)[:2]
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == output, done.stderr


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{target} is not there"


def settings_read():
    tree = ast.parse((ROOT / "src/fieldstone/conf.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_setting"
    }


def test_every_setting_is_documented():
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/reference/settings.md").read_text(), re.M))
    assert settings_read() == documented


def test_everything_that_the_test_kit_offers_is_documented():
    pages = "".join((ROOT / "docs" / page).read_text() for page in ("how-to/testing.md", "reference/settings.md"))
    plugins = "".join(path.read_text() for path in (ROOT / "src/fieldstone/testing/plugin").glob("*.py"))
    settings = set(re.findall(r"""["'](fieldstone_[a-z_]+|--[a-z-]+)["']""", plugins))
    assert {"--update-query-budgets", "fieldstone_query_budgets"} <= settings
    tools = {name for name in testing.__all__ if name.islower()}
    assert {"race", "frozen", "query_budget", "expect_db_error"} <= tools
    assert not [name for name in settings | tools if not re.search(rf"(?<!\w){name}\b", pages)]


def test_every_command_is_documented():
    text = (ROOT / "docs/reference/settings.md").read_text()
    for command in (ROOT / "src").glob("fieldstone/*/management/commands/[!_]*.py"):
        assert f"manage.py {command.stem}" in text


def check_ids():
    """The ids of the messages that are made in modules that import them from Django; each is written out."""
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "django.core.checks"
            for name in node.names
        }
        for node in ast.walk(tree):
            name = isinstance(node, ast.Call) and getattr(node.func, "id", "")
            if name in imported & {"Critical", "Error", "Info", "Warning"}:
                yield next(keyword.value.value for keyword in node.keywords if keyword.arg == "id")


def test_every_check_is_documented():
    """In the table, and no other is."""
    page = (ROOT / "docs/reference/checks.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+\.[EWI]\d+)`", page, re.M)) == sorted(check_ids())


def test_every_setting_is_checked():
    assert settings_read() == conf.TYPES.keys()


def test_every_make_target_explains_itself():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = {line.split()[0] for line in done.stdout.splitlines()}
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert shown == set(phony)


def test_the_package_has_no_assert():
    """``python -O`` takes asserts out: what must hold is checked with an ``if``. The shipped suites are tests."""
    contracts = ROOT / "src/fieldstone/testing/contracts"
    for path in (ROOT / "src").rglob("*.py"):
        if path.is_relative_to(contracts):
            continue
        tree = ast.parse(path.read_text())
        lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        assert not lines, f"{path}: {lines}"


IMPORT_ALL = """
import importlib, sys, traceback
import fieldstone
home = fieldstone.__path__[0] + "/"
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        ours = [at.filename for at in traceback.extract_tb(error.__traceback__) if at.filename.startswith(home)]
        print(name, ours[-1].removeprefix(home))
"""


def test_importing_any_module_needs_neither_settings_nor_models():
    """Those excepted that work with the rows of jobs: they ask for models, and for no setting."""
    import fieldstone

    modules = [
        module.name
        for module in pkgutil.walk_packages(fieldstone.__path__, "fieldstone.")
        if not re.search(r"\.(models|migrations)(\.|$)", module.name)
    ]
    assert len(modules) > 30
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, *modules]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    refused = dict(line.split() for line in done.stdout.splitlines())
    # Which pages there are hangs on which apps there are; only Django imports that module.
    assert refused.pop("fieldstone.workbench.urls") == "workbench/urls.py"
    assert set(refused.values()) == {"jobs/models.py"}
    assert all(re.match(r"fieldstone\.(jobs\.|workbench\.job)", name) for name in refused), refused
    # What a site imports before its apps are there, and what knows no job.
    early = {"apps", "checks", "errors", "export", "outcomes", "signals"}
    assert not refused.keys() & {f"fieldstone.jobs.{name}" for name in early}


def test_what_works_with_the_rows_of_jobs_reads_no_setting_of_theirs_when_it_is_imported():
    code = """
import importlib, pkgutil
from django.conf import settings

class Settings(dict):
    def get(self, name, default=None):
        print(name)
        return default

apps = ["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.store", "fieldstone.jobs"]
settings.configure(INSTALLED_APPS=apps)
import django, fieldstone.jobs
django.setup()
settings.FIELDSTONE = Settings()
for module in pkgutil.walk_packages(fieldstone.jobs.__path__, "fieldstone.jobs."):
    importlib.import_module(module.name)
print("all")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    *read, last = done.stdout.split()
    assert last == "all", done.stderr
    assert not [name for name in read if name.startswith("JOB")]


def test_importing_the_store_pulls_in_no_extra():
    code = """
import sys, fieldstone.store
extras = {"xblock", "web_fragments", "webob", "lxml", "rich", "django_htmx", "psycopg", "fs"}
extras |= {"redis", "pymemcache", "dogpile", "msgpack", "opentelemetry"}
print(sorted(extras & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_names_a_machine_or_a_registry():
    """No absolute path of a developer's machine, no host of a package registry, in any file that is kept."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    hosts = re.compile(r"pypi\.(org|python)|pythonhosted|registry\.npm|deb\.debian|index-url|/(root|home)/\w")
    for name in tracked:
        path = ROOT / name
        if path.is_file() and path != Path(__file__) and path.suffix not in {".woff2", ".gif", ".png"}:
            found = hosts.search(path.read_text(errors="replace"))
            assert found is None, f"{name}: {found[0]}"
