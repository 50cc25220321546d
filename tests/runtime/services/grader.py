"""An external grader: what speaks the queue's protocol over HTTP, on loopback."""

from __future__ import annotations

import json
import queue
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode


class _Handler(BaseHTTPRequestHandler):
    server: Grader
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.requests.append((self.path, form, self.headers.get("Authorization")))
        self._answer(*self.server.replies[self.path](self, form))

    def login(self, form: dict[str, str]) -> tuple[int, str]:
        if (form["username"], form["password"]) != self.server.account:
            return 1, "Incorrect login credentials"
        self.server.sessions.add("a-session")
        return 0, "Logged in"

    def submit(self, form: dict[str, str]) -> tuple[int, str]:
        if "a-session" not in self.server.sessions:
            return 1, "login_required"
        self.server.submissions.put(form)
        return 0, "1"

    def _answer(self, code: int, content: str) -> None:
        body = json.dumps({"return_code": code, "content": content}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output is not a server's log."""


class Grader(ThreadingHTTPServer):
    """Takes submissions of who has logged in, and posts answers to where they ask for them."""

    replies: ClassVar = {"/xqueue/login/": _Handler.login, "/xqueue/submit/": _Handler.submit}
    account = ("lms", "a password")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], str | None]] = []
        self.submissions: queue.Queue[dict[str, str]] = queue.Queue()
        self.sessions: set[str] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Grader:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def received(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and body of the next submission."""
        form = self.submissions.get(timeout=30)
        return json.loads(form["xqueue_header"]), json.loads(form["xqueue_body"])

    @staticmethod
    def post(url: str, header: Any, body: Any) -> tuple[int, Any]:
        """Answer a submission: the status and the JSON that the site replies."""
        form = urlencode({"xqueue_header": json.dumps(header), "xqueue_body": json.dumps(body)}).encode()
        try:
            with urllib.request.urlopen(url, form, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
