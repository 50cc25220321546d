"""Blocks that misbehave as published ones sometimes do; the rest of the tests use published blocks themselves."""

from __future__ import annotations

from web_fragments.fragment import Fragment
from xblock.core import XBlock
from xblock.exceptions import NotFoundError, ProcessingError
from xblock.fields import Dict, Integer, List, Scope, String


class Unparsable(XBlock):
    """Cannot read its own OLX."""

    @classmethod
    def parse_xml(cls, node, runtime, keys):
        raise ValueError("no <question> in it")


class FailsInView(XBlock):
    """Its view saves a field's worth of work, and raises."""

    looked = Integer(scope=Scope.user_state, default=0)

    def student_view(self, context=None):
        self.looked += 1
        raise ZeroDivisionError("a block's own error")


class Counter(XBlock):
    """Counts in all four scopes of the learner; writes in its view, as some published blocks do."""

    seen = Integer(scope=Scope.user_state, default=0)
    votes = Integer(scope=Scope.user_state_summary, default=0)
    liked = Integer(scope=Scope.preferences, default=0)
    notes = Dict(scope=Scope.preferences, default={})
    known = Integer(scope=Scope.user_info, default=0)

    def student_view(self, context=None):
        self.seen += 1
        return Fragment(f"<p>seen {self.seen}</p>")

    @XBlock.json_handler
    def count(self, data, suffix=""):
        self.seen += 1
        self.votes += 1
        self.liked += 1
        self.known += 1
        return {"seen": self.seen, "votes": self.votes, "liked": self.liked, "known": self.known}

    @XBlock.json_handler
    def count_and_fail(self, data, suffix=""):
        self.seen += 1
        raise {"crash": OSError, "shape": KeyError, "missing": NotFoundError, "refused": ProcessingError}[data[0]](
            "so it is"
        )

    @XBlock.json_handler
    def unstorable(self, data, suffix=""):
        self.seen += 1
        self.notes = {"a": object()}


class Scribbler(XBlock):
    """Changes in place what its author wrote."""

    items = List(scope=Scope.content, default=[])
    rules = Dict(scope=Scope.settings, default={})

    def student_view(self, context=None):
        text = f"<p>{self.items!r} {self.rules!r}</p>"
        self.items.append("scribble")
        self.rules["scribble"] = True
        return Fragment(text)

    @XBlock.json_handler
    def scribble(self, data, suffix=""):
        self.items.append("scribble")
        return {"items": self.items}

    @XBlock.json_handler
    def look(self, data, suffix=""):
        return {"items": self.items, "rules": self.rules}


class Tagged(XBlock):
    """Shows what an author or learner may have written, in the places that the runtime writes."""

    said = String(scope=Scope.content, default="")

    def student_view(self, context=None):
        fragment = Fragment("<p>tagged</p>")
        fragment.initialize_js("Tagged", {"said": self.said})
        return fragment


PUBLISHED = {
    "test-unparsable": Unparsable,
    "test-fails-in-view": FailsInView,
    "test-counter": Counter,
    "test-scribbler": Scribbler,
    "test-tagged": Tagged,
}
