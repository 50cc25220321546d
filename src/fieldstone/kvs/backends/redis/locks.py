"""Locks, first come first served: who lets one go hands it to who has waited longest.

A waiter blocks on a list of its own, and so knows within a round trip. Every ``SLICE`` it says again that it is
there. What was handed over has to be claimed within ``CLAIM_MS``, so one that was killed does not hold up the
others for longer. A holder that died is noticed when its time is over: waiters block no longer than that. Only the
server's clock counts.
"""

from __future__ import annotations

import time
from contextlib import suppress

from fieldstone.kvs.backends.redis import scripts
from fieldstone.kvs.backends.redis.driving import Driven, operation
from fieldstone.kvs.backends.redis.routing import UNAVAILABLE, Steps

LOCK_PREFIX = "fieldstone.lock:"
SLICE = 1.0  # seconds that a waiter blocks at most before it says again that it lives
BELIEVED = 2.0  # seconds that it is believed beyond that
LONGEST = 7 * 10**15  # microseconds; added to the present they are exact in a double, which Lua's numbers are


def lock_key(name: str) -> str:
    # "=": a hash tag must not be empty, and the name may begin with "}".
    return f"{LOCK_PREFIX}{{={name}}}"


def microseconds(seconds: float) -> int:
    return max(1, int(min(seconds * 1e6, LONGEST)))


class LockOperations(Driven):
    @operation
    def acquire(self, name: str, token: str, timeout: float, wait: float) -> Steps[int | None]:
        lock, until = lock_key(name), time.monotonic() + wait
        block = min(SLICE, self.settings.socket_timeout / 2)
        believed = microseconds(block + BELIEVED) if wait > 0 else 0
        try:
            while True:
                left = until - time.monotonic()
                fence = yield from self.script(scripts.ACQUIRE, lock, token, microseconds(timeout), believed)
                if fence > 0:
                    return int(fence)
                if left <= 0:
                    break
                seconds = max(0.001, min(left, block, -fence / 1e6))  # 0 would be for ever
                yield from self.router.send(lock, [("BLPOP", f"{lock}:wake:{token}", f"{seconds:.3f}")])
        except GeneratorExit:
            raise
        except BaseException:
            # The lock may be ours by now, and nobody would know. What fails here fails for the same reason.
            with suppress(*UNAVAILABLE):
                yield from self.script(scripts.LEAVE, lock, token, write=False)
            raise
        if wait > 0:
            yield from self.script(scripts.LEAVE, lock, token)
        return None

    @operation
    def release(self, name: str, token: str) -> Steps[bool]:
        return bool((yield from self.script(scripts.RELEASE, lock_key(name), token)))

    @operation
    def renew(self, name: str, token: str, timeout: float) -> Steps[bool]:
        return bool((yield from self.script(scripts.RENEW, lock_key(name), token, microseconds(timeout))))

    @operation
    def locked(self, name: str) -> Steps[bool]:
        return bool((yield from self.script(scripts.LOCKED, lock_key(name), write=False)))
