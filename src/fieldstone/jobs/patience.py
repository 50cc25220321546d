"""For how long a database that fails is tried again: restarts take seconds, deadlocks less."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import uniform

from django.db import DatabaseError, InterfaceError

log = logging.getLogger("fieldstone.jobs")

SHORTEST_WAIT = 0.1
LONGEST_WAIT = 10.0


@dataclass
class Patience:
    """Waits that double, a few minutes of them in turn; what succeeds restores it."""

    seconds: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    _wait: float = field(default=SHORTEST_WAIT, init=False)
    _waited: float = field(default=0.0, init=False)

    def wait(self, error: DatabaseError | InterfaceError) -> None:
        """Before the next try. Raises the error itself when there is no patience left."""
        if self._waited >= self.seconds:
            raise error
        log.warning("The database failed (%s); the next try is in %.1f s", type(error).__name__, self._wait)
        # Workers that failed together are not to come back together.
        self.sleep(self._wait * uniform(0.5, 1.0))  # noqa: S311  # nothing is kept secret by it
        self._waited += self._wait
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    def restore(self) -> None:
        """Something has succeeded."""
        self._wait, self._waited = SHORTEST_WAIT, 0.0
