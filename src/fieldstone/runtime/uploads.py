"""What is sent to a handler: read once, within a limit, and given to each try of the handler anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from django.core.exceptions import BadRequest, RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from webob.multidict import MultiDict, NestedMultiDict, NoVars
from xblock.django.request import DjangoUploadedFile, DjangoWebobRequest, querydict_to_multidict

from fieldstone import conf


def check_length(request: HttpRequest) -> None:
    """Raises ``RequestDataTooBig`` for more than ``MAX_UPLOAD_BYTES``, or ``BadRequest``; nothing is read yet."""
    limit = conf.max_upload_bytes()
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise BadRequest("The length of what was sent is no number.") from None
    if length > limit:
        raise RequestDataTooBig(f"What was sent is longer than the {limit:,} bytes that are allowed.")


def read_body(request: HttpRequest) -> None:
    """Read it once, for a handler may be run again. Raises ``RequestDataTooBig``."""
    check_length(request)
    _ = request.FILES if request.content_type == "multipart/form-data" else request.body


class SentFile(DjangoUploadedFile):  # type: ignore[misc]  # xblock publishes no types
    """A file as ``cgi.FieldStorage`` has it, whose name is that of its field in the form."""

    name = ""

    def __init__(self, name: str, file: UploadedFile[bytes]) -> None:
        super().__init__(file)
        self.name = name


class HandlerRequest(DjangoWebobRequest):  # type: ignore[misc]  # xblock publishes no types
    """The request as one try of a handler gets it, with files of its own: blocks close and move what they get."""

    def __init__(self, request: HttpRequest, files: MultiDict) -> None:
        self._files = files
        super().__init__(request)

    @property
    def POST(self) -> NestedMultiDict | NoVars:  # WebOb's name
        if self.method not in ("POST", "PUT", "PATCH"):
            return NoVars("Not a form request")
        return NestedMultiDict(querydict_to_multidict(self._request.POST), self._files)


@contextmanager
def handler_request(request: HttpRequest) -> Iterator[HandlerRequest]:
    """One try's request; its files are closed at the end."""
    with ExitStack() as stack:
        copies = MultiDict()
        for field_name, files in request.FILES.lists():
            for file in files:
                copy = stack.enter_context(_copy(file))
                copies.add(field_name, SentFile(field_name, copy))
        yield HandlerRequest(request, copies)


def _copy(file: Any) -> UploadedFile[bytes]:
    if hasattr(file, "temporary_file_path"):  # which is not passed on, lest the file is moved away
        content: IO[bytes] = Path(file.temporary_file_path()).open("rb")  # noqa: SIM115  # the caller closes it
    else:
        file.seek(0)
        content = BytesIO(file.read())
    return UploadedFile(content, file.name, file.content_type, file.size, file.charset, file.content_type_extra)
