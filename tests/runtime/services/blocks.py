"""Blocks that ask for services as published ones do."""

from __future__ import annotations

from web_fragments.fragment import Fragment
from xblock.core import XBlock
from xblock.fields import Integer, Scope
from xblock.reference.plugins import Filesystem


@XBlock.needs("teams")
@XBlock.wants("partitions", "settings")
class Asker(XBlock):
    block_settings_key = "asker"

    pressed = Integer(scope=Scope.user_state, default=0)

    def student_view(self, context=None):
        return Fragment(f"<p>{self.runtime.service(self, 'teams').get_team(self)}</p>")

    def wants_view(self, context=None):
        return Fragment(self.runtime.service(self, "partitions").get_groups())

    def wraps_view(self, context=None):
        try:
            self.runtime.service(self, "teams")
        except Exception as error:
            raise RuntimeError("no view") from error

    def undeclared_view(self, context=None):
        self.runtime.service(self, "bookmarks")

    def fails_view(self, context=None):
        raise ZeroDivisionError("my own")


@XBlock.needs("fs")
class Keeper(XBlock):
    mine = Filesystem(scope=Scope.user_state)
    ours = Filesystem(scope=Scope.user_state_summary)


PUBLISHED = {"test-asker": Asker, "test-keeper": Keeper}


class Teams:
    def __init__(self, host):
        self.host = host

    def get_team(self, block):
        return f"team of {self.host.user.username} at {block.scope_ids.block_type}"


NOT_CALLABLE = "teams"
