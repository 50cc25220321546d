"""From keys to names that any server takes: what a region's ``key_mangler`` may be.

A mangler is any function from ``str`` to ``str`` that gives two keys one name never, or hardly ever.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from django.utils.module_loading import import_string

Mangler = Callable[[str], str]

READABLE_LENGTH = 180
"""Characters of a name of ``readable``: memcached takes 250 with what regions put before them."""

_plain = re.compile(rf"[A-Za-z0-9._:@/+=,-]{{1,{READABLE_LENGTH}}}").fullmatch
_not_plain = re.compile(r"[^A-Za-z0-9._:@/+=,-]+")


def sha1(key: str) -> str:
    """40 hexadecimal digits; the same name that dogpile.cache's mangler gives."""
    return hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()


def sha256(key: str) -> str:
    """64 hexadecimal digits: for keys that somebody may choose in order to hit another's."""
    return hashlib.sha256(key.encode()).hexdigest()


def readable(key: str) -> str:
    """The key itself when it is short and plain ASCII, otherwise its beginning and a hash of all of it.

    A tilde stands before the hash, and no key that stays as it is has one: the two kinds never meet.
    """
    if _plain(key):
        return key
    digest = sha256(key)
    return f"{_not_plain.sub('_', key)[: READABLE_LENGTH - len(digest) - 1]}~{digest}"


def resolve(mangler: object) -> Mangler | None:
    """A mangler, given itself or by its dotted path; ``None`` stays.

    Raises ``TypeError`` for what is neither, and ``ImportError`` for a path where nothing is.
    """
    found: object = import_string(mangler) if isinstance(mangler, str) else mangler
    if found is None and mangler is None:
        return None
    if not callable(found):
        raise TypeError(f"key_mangler is {mangler!r}, and should be a function, or the dotted path of one")
    return found
