"""From an OLX tag to the class that runs it."""

from __future__ import annotations

from functools import cache

from xblock.core import XBlock
from xblock.plugin import PluginMissingError

from fieldstone import conf
from fieldstone.runtime.optional_apps import hide_apps_that_are_off
from fieldstone.runtime.pools import POOLS
from fieldstone.runtime.structure import STRUCTURE, BlockUnavailableError

EXTRACTED = {
    # xblocks-contrib publishes Open edX's own blocks under these names until the platform lets go of the old ones.
    tag: f"_{tag}_extracted"
    for tag in ("annotatable", "discussion", "html", "lti", "poll_question", "problem", "video", "word_cloud")
}

OWN: dict[str, type[XBlock]] = {**STRUCTURE, **POOLS}
"""The blocks of this package."""


def is_own(block_type: str) -> bool:
    """Is it one of this package, and not mapped to another by the site?"""
    return block_type in OWN and block_type not in conf.block_aliases()


@cache
def block_class(block_type: str) -> type[XBlock]:
    """The class for a block type. Raises ``BlockUnavailableError`` saying what to do."""
    if is_own(block_type):
        return OWN[block_type]
    hide_apps_that_are_off()
    aliases = {**EXTRACTED, **conf.block_aliases()}
    for entry_point in (aliases.get(block_type, block_type), block_type):
        try:
            cls: type[XBlock] = XBlock.load_class(entry_point)
            return cls
        except PluginMissingError:
            continue
        except Exception as error:  # whatever the package's own import raises
            raise BlockUnavailableError(
                f"The package of <{block_type}> cannot be imported: {type(error).__name__}: {error}"
            ) from error
    raise BlockUnavailableError(
        f"No installed package provides <{block_type}>. Install the XBlock that does, or map the tag to an "
        f'entry point: FIELDSTONE = {{"BLOCK_ALIASES": {{"{block_type}": "..."}}}}.'
    )
