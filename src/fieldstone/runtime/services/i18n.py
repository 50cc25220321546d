"""``i18n``: a block's own translations, in the language that Django has active."""

from __future__ import annotations

import gettext
import re
import sys
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from django.utils import dates, translation
from xblock.core import XBlock
from xblock.runtime import NullI18nService

FOLDERS = ("translations", "locale", "conf/locale")
"""Where packages of blocks keep their catalogues, beside the block's module or above it within the package."""

DOMAINS = ("text", "django")


class _Translations(gettext.GNUTranslations):
    """A block's catalogue, and Django's translations of what it is without.

    Those are no fallback as ``gettext`` has it: XBlock's template tags merge the catalogue into Django's own, and
    that would be its own fallback then.
    """

    def gettext(self, message: str) -> str:
        if not message:
            return ""  # else the catalogue's header: authors leave titles empty
        found = super().gettext(str(message))
        return translation.gettext(message) if found == message else found

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        found = super().ngettext(msgid1, msgid2, n)
        return translation.ngettext(msgid1, msgid2, n) if found in (msgid1, msgid2) else found

    def pgettext(self, context: str, message: str) -> str:
        found = super().pgettext(context, message)
        return translation.pgettext(context, message) if found == message else found

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        found = super().npgettext(context, msgid1, msgid2, n)
        return translation.npgettext(context, msgid1, msgid2, n) if found in (msgid1, msgid2) else found


class I18nService(NullI18nService):  # type: ignore[misc]  # xblock publishes no types
    """``gettext``, ``ngettext`` and so on, ``ugettext`` and ``strftime``, in one language.

    XBlock's template tags read the attributes of the catalogue through it (``_catalog``, ``plural``).
    """

    def __init__(self, block: XBlock) -> None:
        super().__init__()
        language = translation.get_language()
        if language is not None:
            cls: type = getattr(block, "unmixed_class", type(block))
            self._translations = _translations(cls, language)

    def strftime(self, dtime: date, format: str) -> str:  # the name of the argument is XBlock's
        """XBlock's, with the names of months and days in the language."""
        chosen = self.STRFTIME_FORMATS.get(format + "_FORMAT", format)
        names = _names(dtime)
        # Whole codes: the "b" of "%%b" is no month.
        return dtime.strftime(re.sub("%.", lambda code: names.get(code[0], code[0]), chosen))


def _names(day: date) -> dict[str, str]:
    names = {
        "%A": dates.WEEKDAYS[day.weekday()],
        "%a": dates.WEEKDAYS_ABBR[day.weekday()],
        "%B": dates.MONTHS[day.month],
        "%b": str(dates.MONTHS_3[day.month]).capitalize(),
    }
    return {code: str(name).replace("%", "%%") for code, name in names.items()}


@cache
def _translations(cls: type[Any], language: str) -> Any:
    """The catalogue; for a class that has none, Django's module, which has the same functions."""
    for folder in _folders(cls):
        for locale in _locales(folder, language):
            for domain in DOMAINS:
                path = folder / locale / "LC_MESSAGES" / f"{domain}.mo"
                if path.is_file():
                    with path.open("rb") as file:
                        return _Translations(file)
    return translation


def _folders(cls: type[Any]) -> Iterator[Path]:
    module = sys.modules[cls.__module__]
    if getattr(module, "__file__", None) is None:
        return  # written in an interactive session
    above = Path(str(module.__file__)).parent
    for _ in range(max(1, cls.__module__.count("."))):
        yield from (above / name for name in FOLDERS if (above / name).is_dir())
        above = above.parent


def _locales(folder: Path, language: str) -> Iterator[str]:
    """The folders for a language, the nearest first: ``pt-br``: ``pt_BR``, then ``pt``; ``pl``: also ``pl_PL``."""
    locale = translation.to_locale(language)
    general = locale.partition("_")[0]
    yield locale
    yield general
    yield f"{general}_{general.upper()}"
    yield from sorted(path.name for path in folder.glob(f"{general}_*"))
