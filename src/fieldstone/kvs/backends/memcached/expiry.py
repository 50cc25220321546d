"""When an entry ends: to the fraction of a second in front of it, and in memcached's own way beside it.

memcached counts whole seconds, by a clock that ticks once a second, and takes more than 30 days for a date. So
eight bytes before the entry say when it ends, a big-endian double of seconds since the epoch, zeros for never, and
the server is told to drop it after that.
"""

from __future__ import annotations

import math
import struct
import time

NEVER = bytes(8)

_MOMENT = struct.Struct(">d")
_LONGEST = 30 * 24 * 3600
_AT_ONCE = -1
_LAST_DATE = 2**31 - 2


def dated(entry: bytes, ttl: float) -> tuple[bytes, int]:
    """What is stored of an entry that ends in ``ttl`` seconds, and the server's own expiry."""
    ends = time.time() + ttl
    return _MOMENT.pack(ends) + entry, _server_expiry(ends)


def redated(stored: bytes, entry: bytes) -> tuple[bytes, int]:
    """Another entry that ends when the stored one does."""
    head = stored[:8]
    return head + entry, 0 if head == NEVER else _server_expiry(_MOMENT.unpack(head)[0])


def entry_in(stored: bytes | None) -> bytes | None:
    """The entry, unless it has ended."""
    if stored is None:
        return None
    head = stored[:8]
    if head != NEVER and (len(head) < 8 or _MOMENT.unpack(head)[0] <= time.time()):
        return None
    return stored[8:]


def _server_expiry(ends: float) -> int:
    # A second more than the rounded time: the server's clock may tick right after it took the entry.
    left = math.ceil(ends - time.time()) + 1
    if left <= 0:
        return _AT_ONCE
    if left <= _LONGEST:
        return left
    # The server's dates are integers of 32 bits; what lasts beyond them it keeps, and we tell when it has ended.
    return math.ceil(ends) + 1 if ends < _LAST_DATE else 0
