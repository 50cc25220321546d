"""Places: where fields are stored for a learner, one kind a scope.

A usage key itself is the place of ``user_state``. The other three scopes have a class here.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import InvalidPlaceError
from fieldstone.store.tables import KEY_LENGTH


class Summary(NamedTuple):
    """``user_state_summary``: fields of a block that all its learners share."""

    usage_key: UsageKey


class Preferences(NamedTuple):
    """``preferences``: fields of one learner for all blocks of a type."""

    block_type: str


class UserInfo(NamedTuple):
    """``user_info``: fields of one learner, whatever the block."""


Place: TypeAlias = UsageKey | Summary | Preferences | UserInfo


def key_text(usage_key: UsageKey) -> str:
    """The text that a usage key is stored under. Three times cheaper than the key's own hash.

    Raises ``InvalidPlaceError`` for anything that is not a usage key, or for one that is too long.
    """
    if not isinstance(usage_key, UsageKey):
        raise InvalidPlaceError(
            f"{usage_key!r} is not a place: pass a usage key (UsageKey.from_string parses text), "
            "Summary(usage_key), Preferences(block_type) or UserInfo()."
        )
    text = str(usage_key)
    if len(text) > KEY_LENGTH:
        raise InvalidPlaceError(f"The usage key {text} is longer than {KEY_LENGTH} characters.")
    return text


PlaceName: TypeAlias = str | tuple[Any, ...]
"""What a place is looked up by: hashing a usage key itself costs more than fetching its row."""


def name_of(place: Place) -> PlaceName:
    """The name of a place: the text of a usage key, or the kind of the place and what it is of."""
    if isinstance(place, Summary):
        return Summary, key_text(place.usage_key)
    if isinstance(place, Preferences | UserInfo):
        return type(place), *place
    return key_text(place)
