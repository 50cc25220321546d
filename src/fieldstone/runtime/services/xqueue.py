"""``xqueue``: graders outside, which take what a learner handed in and post their answer later."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urljoin

from django.core.signing import BadSignature, Signer
from opaque_keys.edx.keys import UsageKey
from webob import Request
from xblock.core import XBlock

from fieldstone import conf
from fieldstone.runtime.services.host import Host, account_of

DISPATCHES = frozenset({"score_update", "ungraded_response"})
"""What only a grader may ask of a problem."""

FROM_GRADER = "fieldstone.from_grader"
"""In a request's ``META`` once its address has proved that it is a grader's; no header is named so."""


class XQueueService:
    """For one block: where its grader is, and where its answer goes.

    What is handed in is sent at once, since the problem stores whether it arrived. If the handler is run again
    because somebody saved meanwhile, it is sent again; the answer to the first is then refused by its key.
    """

    def __init__(self, host: Host, block: XBlock, configuration: dict[str, Any]) -> None:
        self._host = host
        self._block = block
        self._configuration = configuration

    @property
    def default_queuename(self) -> str:
        return str(self._configuration.get("QUEUE", "default"))

    @property
    def waittime(self) -> float:
        """How many seconds a learner waits before handing in again."""
        return float(self._configuration.get("WAIT_SECONDS", 5))

    @property
    def interface(self) -> Any:
        """The client of the package that the block comes from: Fieldstone does without it where nobody asks."""
        client = import_module("xblocks_contrib.problem.capa.xqueue_interface")
        account = {name: str(self._configuration.get(name.upper(), "")) for name in ("username", "password")}
        basic = self._configuration.get("BASIC_AUTH")
        return client.XQueueInterface(
            url=str(self._configuration["URL"]).rstrip("/"),
            django_auth=account,
            requests_auth=client.HTTPBasicAuth(*basic) if basic else None,
            block=self._block,
        )

    def construct_callback(self, dispatch: str = "score_update") -> str:
        """The address for the grader's answer. Raises ``ValueError`` without a learner with an account."""
        user = account_of(self._host)
        if user is None:
            raise ValueError("An external grader's answer needs a learner with an account: please sign in first.")
        path = self._host.urls.grader(self._block.scope_ids.usage_id, user.pk, dispatch)
        return urljoin(str(self._configuration["CALLBACK"]), path)


def signature(usage_key: UsageKey | str, user_id: int, dispatch: str) -> str:
    """What proves that this site made the address of a callback."""
    return _SIGNER().signature(f"{usage_key} {user_id} {dispatch}")


def is_signed(given: str, usage_key: UsageKey | str, user_id: int, dispatch: str) -> bool:
    """Did this site make the address? It stays good while ``SECRET_KEY`` is the same, or in its fallbacks."""
    try:
        _SIGNER().unsign(f"{usage_key} {user_id} {dispatch}:{given}")
    except BadSignature:
        return False
    return True


_SIGNER = partial(Signer, salt="fieldstone.xqueue")  # made when it is used: it reads the settings


def is_refused(block: XBlock, request: Request, suffix: str) -> bool:
    """Does this ask what only a grader may, and is from somebody else?

    A problem's handler takes a grader's answer from everybody who knows its key, and makes the key of the time,
    the learner's number and their anonymous id: learners could give themselves the score.
    """
    for_graders = suffix in DISPATCHES and block.service_declaration("xqueue") is not None
    return for_graders and not request.environ.get(FROM_GRADER)


def waits_for(block: XBlock, queue_key: str) -> bool:
    """Has the learner handed in what the grader answers with this key, and is it saved by now?"""
    queued = [entry.get("queuestate") for entry in getattr(block, "correct_map", {}).values()]
    inputs = getattr(block, "input_state", {}).values()
    keys = [state.get("key") for state in queued if state] + [state.get("queuekey") for state in inputs]
    return queue_key in keys


def service_of(host: Host, block: XBlock) -> XQueueService | None:
    """The block's own service; ``None`` for a site without an external grader, as problems understand it."""
    configuration = conf.xqueue()
    return None if configuration is None else XQueueService(host, block, configuration)
