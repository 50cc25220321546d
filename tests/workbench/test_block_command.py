"""``manage.py fieldstone_block``, asked about packages that are really installed and really broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from fieldstone.workbench.management.commands.fieldstone_block import Command

PAGE = Path(__file__).parents[2] / "docs" / "blocks.md"
Package = Callable[..., None]
BLOCK = "from xblock.core import XBlock\nclass Shelf(XBlock):\n    pass\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Installs a package: ``package("shelf-xblock", code, requires=[...], entry_points="...")``."""
    before = set(sys.modules)

    def install(
        name: str,
        code: str | None,
        *,
        module: str = "fieldstone_shelf",
        entry_points: str = "[xblock.v1]\nshelf = fieldstone_shelf:Shelf\n",
        requires: tuple[str, ...] = (),
    ) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        folder.mkdir()
        needed = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{needed}")
        (folder / "entry_points.txt").write_text(entry_points)
        if code is not None:
            (tmp_path / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    for name in set(sys.modules) - before:
        if name.startswith("fieldstone_shelf"):
            del sys.modules[name]


def run(*names: str) -> tuple[str, int]:
    """What it writes, and its exit status."""
    out = StringIO()
    try:
        call_command("fieldstone_block", *names, stdout=out, no_color=True)
    except SystemExit as stop:
        return out.getvalue(), int(stop.code or 0)
    return out.getvalue(), 0


def refusal() -> str:
    """What it writes of a shelf that cannot be loaded."""
    text, status = run("shelf")
    assert status == 1
    assert "<shelf> cannot be loaded." in text
    return text


def test_a_block_of_a_package_is_shown_with_all_that_it_declares():
    text, status = run("done")
    assert status == 0
    assert "done-xblock 3." in text
    assert "<done> can be loaded" in text
    assert "views    student_view, studio_view\n" in text
    assert "handlers toggle_button\n" in text
    assert "user_state: done\n" in text
    assert "i18n: needed, provided\n" in text


def test_an_alias_is_followed_and_said():
    text, status = run("problem")
    assert status == 0
    assert "entry point _problem_extracted:\n  xblocks-contrib" in text
    assert "xblocks_contrib:ProblemBlock  block  (taken)" in text


def test_an_alias_of_the_settings_goes_first(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "BLOCK_ALIASES": {"tick": "done"}}
    text, status = run("tick")
    assert status == 0
    assert "<tick> can be loaded from done-xblock" in text


def test_an_alias_that_leads_nowhere_falls_back_to_the_tag(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "BLOCK_ALIASES": {"done": "no-such-entry-point"}}
    text, status = run("done")
    assert status == 0
    assert "entry point no-such-entry-point: no installed package has it\nentry point done:\n" in text


@pytest.mark.parametrize("tag", ["vertical", "conditional", "library_content", "itembank", "randomize"])
def test_the_runtimes_own_tags_need_no_package(tag):
    text, status = run(tag)
    assert status == 0
    assert f"<{tag}> is the runtime's own" in text
    assert "children: children" in text


@pytest.mark.parametrize("tag", ["vertical", "library_content"])
def test_an_alias_goes_before_the_runtimes_own(settings, tag):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "BLOCK_ALIASES": {tag: "done"}}
    text, status = run(tag)
    assert status == 0
    assert f"<{tag}> can be loaded from done-xblock" in text


def test_an_aside_is_found_too():
    text, status = run("acid_aside")
    assert status == 0
    assert "acid:AcidAside  aside  (taken)" in text
    assert "views    aside_view" in text


def test_a_name_that_nothing_has_gets_the_names_like_it():
    text, status = run("drag-and-drop")
    assert status == 1
    assert "No installed package provides <drag-and-drop>." in text
    assert "Installed are: drag-and-drop-v2." in text
    assert "BLOCK_ALIASES" in text


@pytest.mark.parametrize(
    ("tag", "like_it"),
    [
        ("Foo", ""),
        ("PROBLEM", "  Installed are: problem, "),
        ("Library_Content", "  Installed are: library_content"),
    ],
)
def test_a_name_in_capitals_that_nothing_has_is_not_installed(tag, like_it):
    text, status = run(tag)
    assert status == 1
    assert f"No installed package provides <{tag}>.\n{like_it}" in text


def test_the_list_has_what_loads_and_what_does_not(package):
    package("shelf-xblock", "import fieldstone_no_such_module\n")
    text, status = run()
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert lines["done"].endswith("block loads")
    assert lines["acid_aside"].endswith("aside loads")
    assert "shelf-xblock 1.2" in lines["shelf"]
    assert "cannot be loaded: ModuleNotFoundError: No module named 'fieldstone_no_such_module'" in lines["shelf"]
    assert status == 1


def test_a_missing_module_is_answered_with_the_package_as_it_is_required(package):
    requires = ("no-such-helper[extra]>=2", 'no-such-test; extra == "test"')
    package("shelf-xblock", "import no_such_helper.parts\n", requires=requires)
    text = refusal()
    assert "fieldstone_shelf.py, line 1: import no_such_helper.parts\n" in text
    assert "ModuleNotFoundError: No module named 'no_such_helper'" in text
    assert 'pip install "no-such-helper[extra]>=2".' in text
    assert "requires what is not installed: no-such-helper[extra]>=2." in text


def test_a_module_whose_package_has_another_name_is_answered_with_that(package):
    package("shelf-xblock", "import workbench.runtime\n")
    text = refusal()
    assert 'The module workbench is missing: pip install "xblock-sdk".' in text
    assert f"```text\n{text}```" in PAGE.read_text(), "the page's example"


def test_a_module_of_the_platform_cannot_be_installed(package):
    package("shelf-xblock", "from lms.djangoapps.courseware import access\n")
    assert "belongs to Open edX's platform" in refusal()


def test_a_package_without_its_own_module_is_to_be_installed_anew(package):
    package("shelf-xblock", None)
    assert "is without that module: install it anew" in refusal()


def test_a_name_that_a_dependency_lost_is_a_matter_of_versions(package):
    package("shelf-xblock", "from xblock.fields import NoSuchField\n")
    text = refusal()
    assert "cannot import name 'NoSuchField'" in text
    assert "XBlock has no such name in the version that is installed" in text


def test_a_class_that_is_not_there_is_a_matter_of_versions(package):
    package("shelf-xblock", "class Rack: pass\n")
    assert "the versions of two packages do not fit each other" in refusal()


def test_a_package_with_models_is_answered_with_the_app_to_add(package):
    package(
        "shelf-xblock",
        "from django.db import models\nclass Book(models.Model):\n    pass\n" + BLOCK,
    )
    assert 'INSTALLED_APPS = [..., "fieldstone_shelf"].' in refusal()


def test_a_setting_that_the_site_does_not_have_is_named(package):
    package("shelf-xblock", "from django.conf import settings\nROWS = settings.SHELF_ROWS\n" + BLOCK)
    assert "It reads Django's setting SHELF_ROWS" in refusal()


def test_an_import_that_reads_an_app_which_is_not_there_says_so(package):
    package("shelf-xblock", "from django.apps import apps\nBooks = apps.get_model('books', 'Book')\n" + BLOCK)
    text = refusal()
    assert "No installed app with label 'books'" in text
    assert "INSTALLED_APPS" in text


def test_code_of_another_python_is_said_to_be_that(package):
    package("shelf-xblock", "print 'books'\n")
    assert f"not written for Python {sys.version_info[0]}.{sys.version_info[1]}" in refusal()


def test_what_is_no_block_is_not_taken_for_one(package):
    package("shelf-xblock", "class Shelf: pass\n")
    text = refusal()
    assert "NotABlockError" in text
    assert "no subclass of XBlock" in text


def test_an_error_of_the_package_itself_is_shown_with_its_line(package):
    package("shelf-xblock", "BOOKS = 1 / 0\n")
    text = refusal()
    assert "fieldstone_shelf.py, line 1: BOOKS = 1 / 0\n" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "the package's own error" in text


def test_two_packages_of_one_name_are_both_named(package):
    package("shelf-xblock", BLOCK)
    package("rack-xblock", BLOCK.replace("Shelf", "Rack"), module="fieldstone_shelf_rack",
            entry_points="[xblock.v1]\nshelf = fieldstone_shelf_rack:Rack\n")  # fmt: skip
    text = refusal()
    assert "2 packages publish it: rack-xblock 1.2, shelf-xblock 1.2" in text
    assert "Uninstall all but one" in text


def test_an_override_goes_before_the_block_that_it_overrides(package):
    package("shelf-xblock", BLOCK)
    package("rack-xblock", BLOCK.replace("Shelf", "Rack"), module="fieldstone_shelf_rack",
            entry_points="[xblock.v1.overrides]\nshelf = fieldstone_shelf_rack:Rack\n")  # fmt: skip
    text, status = run("shelf")
    assert status == 0
    assert "fieldstone_shelf_rack:Rack  block, override  (taken)" in text


def test_an_override_of_nothing_is_not_enough(package):
    package("rack-xblock", BLOCK, entry_points="[xblock.v1.overrides]\nshelf = fieldstone_shelf:Shelf\n")
    assert "install that package too" in refusal()


def test_a_name_in_capitals_can_never_be_found(package):
    package("shelf-xblock", BLOCK, entry_points="[xblock.v1]\nShelf = fieldstone_shelf:Shelf\n")
    text, status = run("Shelf")
    assert status == 1
    assert "There is an entry point Shelf, with capitals in its name." in text


def test_a_service_that_nobody_provides_is_named_with_the_setting(package, settings):
    package("shelf-xblock", BLOCK.replace("class", "@XBlock.needs('books')\n@XBlock.wants('pens')\nclass"))
    text, status = run("shelf")
    assert status == 0, "it can be loaded; what it lacks shows when it asks"
    assert 'books: needed, not provided: FIELDSTONE = {"SERVICES": {"books": "dotted.path"}}\n' in text
    assert "pens: wanted, not provided" in text
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SERVICES": {"books": "fieldstone_shelf.books"}}
    assert "books: needed, provided\n" in run("shelf")[0]


def test_the_help_has_examples():
    text = Command().create_parser("manage.py", "fieldstone_block").format_help()
    assert "  manage.py fieldstone_block drag-and-drop-v2\n" in text
    assert "exit status: 0" in text
