"""What blocks publish, once what they did is saved."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from django.dispatch import Signal
from opaque_keys.edx.keys import UsageKey

log = logging.getLogger("fieldstone.events")

block_published = Signal()
"""Sent with ``usage_key, event_type, event`` and ``user`` after the save that the event belongs to."""


class Event(NamedTuple):
    """An event of a block."""

    usage_key: UsageKey
    event_type: str
    event: Any
    user: Any

    def send(self) -> None:
        """Log it, without what the learner wrote, and tell whoever listens; a listener's error is logged."""
        log.info("%s %s by learner %s", self.event_type, self.usage_key, getattr(self.user, "pk", None))
        block_published.send_robust(sender=None, **self._asdict())
