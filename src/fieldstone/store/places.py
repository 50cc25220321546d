"""Places: where fields are stored for a learner, one kind a scope.

A usage key itself is the place of ``user_state``. The other three scopes have a class here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from opaque_keys.edx.keys import AsideUsageKey, LearningContextKey, UsageKey
from opaque_keys.edx.locator import BlockUsageLocator, CourseLocator, LibraryLocator

from fieldstone.errors import InvalidPlaceError
from fieldstone.store.tables import KEY_LENGTH


class Summary(NamedTuple):
    """``user_state_summary``: fields of a block that all its learners share."""

    usage_key: UsageKey


class Preferences(NamedTuple):
    """``preferences``: fields of one learner for all blocks of a type; of asides, of a ``BlockTypeKey``'s text."""

    block_type: str


class UserInfo(NamedTuple):
    """``user_info``: fields of one learner, whatever the block."""


Place: TypeAlias = UsageKey | Summary | Preferences | UserInfo

Expected: TypeAlias = int | Mapping[str, int]
"""The revision that was read of a place, or in the scopes with a row per field that of each field; 0 for none."""

ExpectedRevisions: TypeAlias = Mapping[UsageKey, int] | Mapping[Place, Expected]


def key_text(usage_key: UsageKey) -> str:
    """The text that a usage key is stored under. Three times cheaper than the key's own hash.

    It names the block alone, as in Open edX: branch and version are left out. Old keys (``i4x://``) say nothing
    of the run, so that is put behind them: two runs of a course are told apart.

    Raises ``InvalidPlaceError`` for anything that is not a usage key, or for one that is too long or has no run.
    """
    if not isinstance(usage_key, UsageKey):
        raise InvalidPlaceError(
            f"{usage_key!r} is not a place: pass a usage key (UsageKey.from_string parses text), "
            "Summary(usage_key), Preferences(block_type) or UserInfo()."
        )
    text = str(usage_key)
    if text.count("@") != _AT_SIGNS:
        text = _told_apart(usage_key, text)
    if len(text) > KEY_LENGTH:
        raise InvalidPlaceError(f"The usage key {text} is longer than {KEY_LENGTH} characters.")
    return text


def context_text(context: object) -> str:
    """The text that a learning context is stored under, without branch and version.

    Raises ``InvalidPlaceError`` for anything else.
    """
    if not isinstance(context, LearningContextKey):
        raise InvalidPlaceError(f"{context!r} is no learning context: CourseKey.from_string parses text.")
    text = str(context)
    if "@" in text and isinstance(context, CourseLocator):
        text = str(_main(context))
    return text


_AT_SIGNS = 2
"""In ``block-v1:..+type@problem+block@name``, as nearly all keys are: those need no second look."""

_RUN = "#"  # before the run of an old key; none of the characters that keys are made of


def _told_apart(usage_key: UsageKey, text: str) -> str:
    block_key: Any = usage_key.usage_key if isinstance(usage_key, AsideUsageKey) else usage_key
    if not isinstance(block_key, BlockUsageLocator) or isinstance(block_key.context_key, LibraryLocator):
        return text
    main = _of_block(usage_key, _main(block_key))
    if not block_key.deprecated:
        return str(main)
    if block_key.run is None:
        raise InvalidPlaceError(
            f"The usage key {text} does not say of which run it is: usage_key.map_into_course(course_key) does."
        )
    return f"{main}{_RUN}{block_key.run}"


def _main(key: Any) -> Any:
    """A key without branch and version, unless it is known by its version alone."""
    return key.for_branch(None) if key.run is None or key.deprecated else key.for_branch(None).version_agnostic()


def _of_block(usage_key: UsageKey, block_key: UsageKey) -> UsageKey:
    """The key of a block, or of its aside if that is what was asked for."""
    return type(usage_key)(block_key, usage_key.aside_type) if isinstance(usage_key, AsideUsageKey) else block_key


@lru_cache(maxsize=1024)  # rows often come usage by usage: each key is parsed once, however many learners it has
def parse_key(text: str) -> UsageKey:
    """The usage key of a text that ``key_text`` made, an old key mapped into its run.

    Raises ``opaque_keys.InvalidKeyError``.
    """
    text, _, run = text.partition(_RUN)
    usage_key = UsageKey.from_string(text)
    if not run:
        return usage_key
    block_key = usage_key.usage_key if isinstance(usage_key, AsideUsageKey) else usage_key
    return _of_block(usage_key, block_key.map_into_course(block_key.context_key.replace(run=run)))
