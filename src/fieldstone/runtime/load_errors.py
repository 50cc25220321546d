"""Why an installed block cannot be loaded, in words that say what to do."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured
from xblock.plugin import PluginMissingError

from fieldstone.runtime import entry_points
from fieldstone.runtime.entry_points import AmbiguousNameError, Candidate, NotABlockError

PACKAGES = {
    "djpyfs": "openedx-django-pyfs",
    "edxval": "edxval",
    "pkg_resources": "setuptools<81",
    "statici18n": "django-statici18n",
    "submissions": "edx-submissions",
    "web_fragments": "web-fragments",
    "workbench": "xblock-sdk",
    "xblockutils": "xblock-utils",
}
"""Module to package, where the names do not tell it."""

PLATFORM = frozenset({"cms", "common", "courseware", "lms", "openedx", "student", "xmodule"})
"""Modules of Open edX's platform, which no package brings."""

SHOWN_FRAMES = 3


def cause_of(error: Exception, candidate: Candidate | None) -> str:
    """One or two sentences: what is wrong, and what helps."""
    for known in _chain(error):
        found = _known_cause(known, candidate)
        if found:
            return found
    return "That is the package's own error; a newer version of it, or of what it requires, may do better."


def missing_requirements(package: Distribution) -> list[str]:
    """What a package requires always, and is not installed."""
    missing = []
    for requirement in package.requires or []:
        marker = requirement.partition(";")[2]
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
        if marker or name is None:  # those of an extra, another Python or another system
            continue
        try:
            distribution(name[0])
        except PackageNotFoundError:
            missing.append(requirement.strip())
    return missing


def short_traceback(error: BaseException) -> list[str]:
    """The innermost calls outside of the import system, a line each, and the error last."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
        and "importlib" not in Path(frame.filename).parts
        and frame.filename != entry_points.__file__
    ]
    lines = [
        f"{_from_path(frame.filename)}, line {frame.lineno}: {frame.line}" for frame in frames[-SHOWN_FRAMES:]
    ]
    return [*lines, f"{type(error).__name__}: {error}"]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _known_cause(error: BaseException, candidate: Candidate | None) -> str:
    message = str(error)
    match error:
        case AmbiguousNameError():
            return (
                "XBlock does not choose between packages. Uninstall all but one, or have one publish its block in "
                "the group xblock.v1.overrides."
            )
        case NotABlockError():
            return "The package names the wrong thing in its entry point; a newer version may be right."
        case PluginMissingError():
            return "There is only an override of a block that no package publishes: install that package too."
        case ModuleNotFoundError() if error.name:
            return _missing_module(error.name, candidate)
        case ImportError() if error.name:
            return _missing_name(error)
        case AppRegistryNotReady():
            return "It reads Django's models while Django is still loading the apps; load it after django.setup()."
        case SyntaxError():
            version = ".".join(str(part) for part in sys.version_info[:2])
            return f"It is not written for Python {version}; a newer version may be."
    return _known_message(error, message)


def _known_message(error: BaseException, message: str) -> str:
    """Errors of Django that only their words tell apart."""
    app = re.search(r"Model class (\S+) doesn't declare an explicit app_label", message)
    if app:
        name = app[1].rpartition(".models.")[0] or app[1].rpartition(".")[0]
        return f'It has models: add the Django app to the site\'s settings, INSTALLED_APPS = [..., "{name}"].'
    setting = re.search(r"(?:Settings' object|object|settings) has no attribute '([A-Z][A-Z0-9_]*)'", message)
    if setting and isinstance(error, AttributeError):
        return f"It reads Django's setting {setting[1]}, which the site's settings do not have: give it a value."
    if isinstance(error, ImproperlyConfigured):
        return "A setting of the site is missing or wrong, as the message says."
    if isinstance(error, LookupError) and "No installed app with label" in message:
        return "It needs a Django app: add the one of that label to the site's INSTALLED_APPS."
    if isinstance(error, AttributeError) and re.match(r"module '.*' has no attribute", message):
        return "The module is there and has no such name: the versions of two packages do not fit each other."
    return ""


def _missing_module(module: str, candidate: Candidate | None) -> str:
    top = module.partition(".")[0]
    if candidate and top == candidate.value.partition(":")[0].partition(".")[0]:
        return f"The package points to {candidate.value} and is without that module: install it anew."
    if top in PLATFORM:
        return (
            f"The module {module} belongs to Open edX's platform and to no package: this block runs only there, "
            "unless a newer version does without."
        )
    owners = packages_distributions().get(top)
    if owners:
        return (
            f"{', '.join(sorted(set(owners)))} is installed and has no module {module}: another version has, "
            "or a Django app of this name is not among INSTALLED_APPS."
        )
    return f'The module {module} is missing: pip install "{_package_of(top, candidate)}".'


def _package_of(module: str, candidate: Candidate | None) -> str:
    """The package that brings a module: as the block's package requires it, as it is known, else of that name."""
    name = PACKAGES.get(module, module.replace("_", "-"))
    package = candidate.distribution if candidate else None
    for requirement in missing_requirements(package) if package else []:
        bare = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if bare.lower().replace("_", "-") == name.lower().partition("<")[0]:
            return requirement
    return name


def _missing_name(error: ImportError) -> str:
    owners = packages_distributions().get(str(error.name).partition(".")[0])
    package = ", ".join(sorted(set(owners))) if owners else str(error.name)
    return f"{package} has no such name in the version that is installed: another version of it has."


def _from_path(filename: str) -> str:
    """A path without the folder that Python found it in."""
    for folder in sorted(sys.path, key=len, reverse=True):
        if folder and Path(filename).is_relative_to(folder):
            return str(Path(filename).relative_to(folder))
    return filename
