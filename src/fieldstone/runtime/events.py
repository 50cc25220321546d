"""What blocks publish, once what they did is saved."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from django.db import transaction
from django.dispatch import Signal
from opaque_keys.edx.keys import UsageKey

from fieldstone.store import Store

log = logging.getLogger("fieldstone.events")

block_published = Signal()
"""Sent with ``usage_key, event_type, event`` and ``user`` when the save that the event belongs to is committed."""


class Event(NamedTuple):
    """An event of a block."""

    usage_key: UsageKey
    event_type: str
    event: Any
    user: Any

    def send_after_commit(self) -> None:
        """``send``, at once or when the transaction around is committed; never, when it is rolled back."""
        transaction.on_commit(self.send, using=Store().using)

    def send(self) -> None:
        """Log it, without what the learner wrote, and tell whoever listens; a listener's error is logged."""
        log.info("%s %s by learner %s", self.event_type, self.usage_key, getattr(self.user, "pk", None))
        block_published.send_robust(sender=None, **self._asdict())
