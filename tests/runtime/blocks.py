"""Blocks that misbehave as published ones sometimes do; the rest of the tests use published blocks themselves."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from web_fragments.fragment import Fragment
from webob import Response
from xblock.core import XBlock, XBlockAside
from xblock.exceptions import NotFoundError, ProcessingError
from xblock.fields import Dict, Integer, JSONField, List, Scope, String


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


class Answers(XBlock):
    """Answers in every way that a handler can."""

    taken = Dict(scope=Scope.user_state, default={})
    runs: ClassVar[list[str]] = []

    @XBlock.handler
    def echo(self, request, suffix=""):
        return Response(json={"method": request.method, "suffix": suffix, "query": request.query_string})

    @XBlock.handler
    def status(self, request, suffix=""):
        return Response(
            status=int(suffix), body=b"so it is", headers={"X-Block": "yes"}, content_type="text/plain"
        )

    @XBlock.handler
    def stream(self, request, suffix=""):
        return Response(app_iter=(b"%d;" % number for number in range(int(suffix))), content_type="text/plain")

    @XBlock.handler
    def upload(self, request, suffix=""):
        file = request.POST["file"]
        self.taken = {**self.taken, file.filename: len(file.file.read())}
        return Response(json=self.taken)

    @XBlock.handler
    def close(self, request, suffix=""):
        """Reads what was sent as published blocks do: the file is closed then, or moved to another place."""
        file = request.POST["file"].file
        self.taken = {**self.taken, "read": len(file.read())}
        file.close()
        if suffix == "move" and hasattr(file, "temporary_file_path"):
            Path(file.temporary_file_path()).unlink()
        return Response(json=self.taken)

    @XBlock.handler
    def nothing(self, request, suffix=""):
        self.taken = {"nothing": 1}

    @XBlock.handler
    def stream_and_save(self, request, suffix=""):
        def lines():
            yield b"1;"
            self.taken = {"streamed": 1}
            self.save()
            yield b"2;"

        return Response(app_iter=lines(), content_type="text/plain")

    @XBlock.handler
    def report(self, request, suffix=""):
        """Called by others: nobody's, and so it may read no learner's field for sure."""
        return Response(json={"user": self.scope_ids.user_id, "taken": self.taken, "said": request.body.decode()})

    @XBlock.handler
    def keep(self, request, suffix=""):
        self.taken = {"kept": suffix}
        return Response(json={})

    @XBlock.json_handler
    def tell(self, data, suffix=""):
        self.runs.append(suffix)
        self.taken = {**self.taken, "told": len(self.taken)}
        self.runtime.publish(self, "test.told", data)
        return {}

    @XBlock.json_handler
    def ask(self, data, suffix=""):
        return {"service": repr(self.runtime.service(self, "no-such-service"))}


Answers = XBlock.needs("no-such-service")(Answers)


class Beside(XBlockAside):
    """Counts beside every block."""

    beside = Integer(scope=Scope.user_state, default=0)

    @XBlockAside.aside_for("student_view")
    def shown(self, block, context=None):
        if block.scope_ids.block_type == "test-tagged":
            raise ZeroDivisionError("an aside's own error")
        fragment = Fragment(f"<p>beside: {self.beside}</p>")
        fragment.initialize_js("Beside")
        return fragment

    @XBlockAside.json_handler
    def count(self, data, suffix=""):
        self.beside += 1
        return {"beside": self.beside}

    @XBlockAside.json_handler
    def rate(self, data, suffix=""):
        self.runtime.publish(self, "grade", {"value": 1, "max_value": 2})
        return {}


class KeepsFiles(XBlock):
    """Puts a file into the storage as it reads its OLX."""

    @classmethod
    def parse_xml(cls, node, runtime, keys):
        default_storage.save(f"kept/{node.get('url_name')}", ContentFile(b"a package"))
        return super().parse_xml(node, runtime, keys)


class NotJson(XBlock):
    """Its author's data is nothing that JSON has."""

    data = JSONField(scope=Scope.content)

    @classmethod
    def parse_xml(cls, node, runtime, keys):
        block = runtime.construct_xblock_from_class(cls, keys)
        block.data = {1, 2}
        return block


PUBLISHED = {
    "test-unparsable": Unparsable,
    "test-fails-in-view": FailsInView,
    "test-counter": Counter,
    "test-scribbler": Scribbler,
    "test-tagged": Tagged,
    "test-keeps-files": KeepsFiles,
    "test-not-json": NotJson,
    "test-answers": Answers,
}
