"""``rebind_user``: a request without account that proves, by a signature, for which learner it speaks."""

from __future__ import annotations

from typing import Any

from xblock.core import XBlock
from xblock.fields import Scope

from fieldstone.runtime.services.host import Host, account_of

LEARNERS = (Scope.user_state, Scope.preferences, Scope.user_info)
"""The scopes of one learner's fields."""


class RebindError(Exception):
    """The block cannot be bound to that learner; the message says why."""


class RebindUserService:
    """LTI tools report scores so: by the learner's anonymous id, and without a session."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def rebind_noauth_module_to_user(self, block: XBlock, real_user: Any) -> None:
        """From here on the block's learner fields, and what it publishes, are that learner's.

        What it had of the visitor is dropped, saved or not. Raises ``RebindError`` if the request comes from a
        learner, who can speak for nobody else, or if there is no account to bind to.
        """
        if account_of(self._host) is not None:
            raise RebindError("This request has a learner already: a block cannot be bound to another one.")
        if not getattr(real_user, "is_authenticated", False):
            raise RebindError("A block can only be bound to a learner with an account.")
        rebound = self._host.rebound_to(real_user)
        for field in block.fields.values():
            if field.scope in LEARNERS:
                field._del_cached_value(block)  # XBlock has no public way to forget a value
                block._dirty_fields.pop(field, None)
        block.scope_ids = block.scope_ids._replace(user_id=real_user.pk)
        block.runtime = rebound
