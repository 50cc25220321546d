"""Ids of learners for other servers' eyes: they do not tell who it is, and the site can take them back.

An id is a learner's number sealed under ``SECRET_KEY``, with the number's own keyed hash as the nonce (a synthetic
initialisation vector, the idea of RFC 5297): the same learner and course always give the same id, ids of different
courses cannot be compared, and the site needs neither a table of ids nor a search through its users to undo one.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from django.conf import settings

_SALT = b"fieldstone.anonymous_id"
_HALF = 8  # bytes: of the hash, and of the number
_SHAPE = re.compile(r"[0-9a-f]{32}")


def anonymous_id(user_id: int, course: str) -> str:
    """32 hexadecimal digits for a learner in a course, by the text of its key; ``""`` is the whole site.

    They change with ``SECRET_KEY``. Raises ``OverflowError`` for a number that is no positive ``bigint``.
    """
    number = user_id.to_bytes(_HALF, "big")
    tag = _mac(settings.SECRET_KEY, "tag", course, number)
    return (tag + _xor(number, _mac(settings.SECRET_KEY, "number", course, tag))).hex()


def user_id_of(anonymous: str, course: str) -> int | None:
    """The learner's number; ``None`` for what this site has not made for this course.

    Ids from before a change of ``SECRET_KEY`` are known by ``SECRET_KEY_FALLBACKS``.
    """
    if not _SHAPE.fullmatch(anonymous):
        return None
    tag, sealed = bytes.fromhex(anonymous[: 2 * _HALF]), bytes.fromhex(anonymous[2 * _HALF :])
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        number = _xor(sealed, _mac(secret, "number", course, tag))
        if hmac.compare_digest(tag, _mac(secret, "tag", course, number)):
            return int.from_bytes(number, "big")
    return None


def _mac(secret: str | bytes, use: str, course: str, data: bytes) -> bytes:
    key = hashlib.sha256(_SALT + (secret if isinstance(secret, bytes) else secret.encode())).digest()
    # The data is last and of fixed length: no two inputs have the same text.
    return hmac.new(key, use.encode() + b"/" + course.encode() + b"/" + data, hashlib.sha256).digest()[:_HALF]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
