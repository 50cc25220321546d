"""The names of the tables, and of what is in them; importing this touches no models."""

from __future__ import annotations

import hashlib

ENTRY = "fieldstone_kvs_entry"
LOCK = "fieldstone_kvs_lock"
WAITER = "fieldstone_kvs_waiter"
FENCE = "fieldstone_kvs_fence"

NAME_LENGTH = 500
"""Characters of a name. PostgreSQL takes 2,704 bytes for a key of an index, MariaDB 3,072."""

OWNER_LENGTH = 100

MISSING_TABLE = 'add "fieldstone.kvs" to INSTALLED_APPS, and run manage.py migrate'
"""What to do about one."""


def fitted(name: str) -> str:
    """A lock's name as the tables take it: a digest stands for the tail of a long one."""
    if len(name) <= NAME_LENGTH and "\0" not in name:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{name[: NAME_LENGTH - len(digest) - 1]}:{digest}".replace("\0", " ")
