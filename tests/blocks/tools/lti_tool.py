"""A learning tool that courses link to by LTI 1.1: it checks who sends learners, and sends results back.

https://www.imsglobal.org/specs/ltiv1p1p1/implementation-guide
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl
from urllib.request import Request, urlopen
from xml.etree import ElementTree

from oauthlib.oauth1 import Client, RequestValidator, SignatureOnlyEndpoint

PORT = 19_531  # below 20000: the course names it, and the workbenches of the tests begin above
KEY, SECRET = "fieldstonetests", "kept-by-both-sides"
SECONDS_A_LAUNCH_IS_GOOD = 300
POX = "http://www.imsglobal.org/services/ltiv1p1/xsd/imsoms_v1p0"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The tool</title></head>
<body><h1>The tool</h1>{body}</body></html>"""
LAUNCHED = """<p>Learner <output id="learner">{learner}</output>, page <output id="page">{page}</output></p>
<form method="post" action="/result">
<input type="hidden" name="service" value="{service}"><input type="hidden" name="sourcedid" value="{sourcedid}">
<label>Score <input name="score" value="0.8"></label><button>Send the result</button></form>"""

REPLACE_RESULT = """<?xml version="1.0" encoding="UTF-8"?>
<imsx_POXEnvelopeRequest xmlns="{pox}"><imsx_POXHeader><imsx_POXRequestHeaderInfo>
<imsx_version>V1.0</imsx_version><imsx_messageIdentifier>1</imsx_messageIdentifier>
</imsx_POXRequestHeaderInfo></imsx_POXHeader><imsx_POXBody><replaceResultRequest><resultRecord>
<sourcedGUID><sourcedId>{sourcedid}</sourcedId></sourcedGUID>
<result><resultScore><language>en</language><textString>{score}</textString></resultScore></result>
</resultRecord></replaceResultRequest></imsx_POXBody></imsx_POXEnvelopeRequest>"""


@dataclass(frozen=True)
class Answer:
    """What a platform said to a result."""

    status: int
    code: str
    """``success`` or ``failure``; empty when the answer was no envelope."""
    description: str


def send_result(service: str, sourcedid: str, score: str, secret: str = SECRET) -> Answer:
    """Post ``replaceResult`` to a platform's outcome service, signed with the digest of its body."""
    body = REPLACE_RESULT.format(pox=POX, sourcedid=escape(sourcedid), score=escape(score))
    uri, headers, _ = Client(KEY, secret).sign(service, "POST", body, {"Content-Type": "application/xml"})
    request = Request(uri, body.encode(), headers, method="POST")  # no cookie, no CSRF token
    with urlopen(request, timeout=20) as response:
        text = response.read()
        status = response.status
    if b"imsx_codeMajor" not in text:
        return Answer(status, "", text.decode(errors="replace"))
    found = ElementTree.fromstring(text)
    return Answer(
        status,
        found.findtext(f".//{{{POX}}}imsx_codeMajor") or "",
        found.findtext(f".//{{{POX}}}imsx_description") or "",
    )


class Consumers(RequestValidator):  # type: ignore[misc]  # oauthlib publishes no types
    """The platforms that may send learners: one, over plain HTTP on this machine; each launch once."""

    enforce_ssl = False
    client_key_length = (3, 30)
    dummy_client = "nobody"

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, str]] = set()

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == KEY

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return SECRET if client_key == KEY else "nothing"

    def validate_timestamp_and_nonce(
        self, client_key: str, timestamp: str, nonce: str, request: Any, **tokens: Any
    ) -> bool:
        fresh = abs(time.time() - int(timestamp)) < SECONDS_A_LAUNCH_IS_GOOD
        new = (timestamp, nonce) not in self._seen
        self._seen.add((timestamp, nonce))
        return fresh and new


class _Handler(BaseHTTPRequestHandler):
    endpoint = SignatureOnlyEndpoint(Consumers())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        if self.path == "/launch":
            self.launch(body, form)
        elif self.path == "/result":
            answer = send_result(form["service"], form["sourcedid"], form["score"])
            said = escape(f"{answer.status} {answer.code}: {answer.description}")
            self.show(200, f'<p id="answer" role="status">{said}</p>')
        else:
            self.show(404, "<p>Nothing here.</p>")

    def launch(self, body: str, form: Mapping[str, str]) -> None:
        uri = f"http://{self.headers['Host']}{self.path}"
        valid, _ = self.endpoint.validate_request(uri, "POST", body, dict(self.headers.items()))
        if not valid:
            self.show(401, '<p role="alert">The signature is wrong.</p>')
            return
        names = {
            "learner": "user_id",
            "page": "custom_page",
            "service": "lis_outcome_service_url",
            "sourcedid": "lis_result_sourcedid",
        }
        self.show(200, LAUNCHED.format(**{name: escape(form.get(sent, "")) for name, sent in names.items()}))

    def show(self, status: int, body: str) -> None:
        content = PAGE.format(body=body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Not in the tests' output."""


@cache
def start() -> ThreadingHTTPServer:
    """The tool answers from now on, at the address that the course has, until the process ends."""
    server = ThreadingHTTPServer(("127.0.0.1", PORT), _Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    atexit.register(server.server_close)
    return server
