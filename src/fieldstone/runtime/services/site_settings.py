"""``settings``: what a site sets for its blocks."""

from __future__ import annotations

import copy
from typing import Any

from xblock.core import XBlock

from fieldstone import conf


class SettingsService:
    """``BLOCK_SETTINGS``, by the block's ``block_settings_key``, or its class's name where it has none."""

    def get_settings_bucket(self, block: XBlock, default: Any = None) -> Any:
        """A copy of the block's settings; ``default``, or an empty dict, where the site sets nothing."""
        if block is None:
            raise ValueError("get_settings_bucket() takes the block whose settings are wanted.")
        cls = getattr(block, "unmixed_class", type(block))
        buckets = conf.block_settings()
        key = getattr(block, "block_settings_key", cls.__name__)
        if key in buckets:
            return copy.deepcopy(buckets[key])  # the block may change it in place; the settings are everybody's
        return {} if default is None else default
