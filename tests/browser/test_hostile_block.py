"""A block's script that is after other learners' data: it runs in the page of whoever looks at the block.

``page.evaluate`` runs a script as the block's own would run. Each attack tries to make the session another
learner's, or to read a page that is not the block's business; afterwards the session is the learner's still.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import COURSE, Visitor, unit_path

pytestmark = pytest.mark.browser

POLL = f"/xblock/block-v1:{COURSE}+type@poll+block@study-habit"
SWITCH = """
    const switchBody = () => new URLSearchParams({
        learner: victim, csrfmiddlewaretoken: document.querySelector('meta[name=csrf-token]').content,
    });
    const headers = {'X-CSRFToken': document.querySelector('meta[name=csrf-token]').content};
    const refusal = () => new Promise((resolve) => document.addEventListener(
        'securitypolicyviolation', (event) => resolve(event.effectiveDirective), {once: true}));
"""


@dataclass(frozen=True)
class Prey:
    """Whom the attacks are after."""

    visitor: Visitor
    mallory: str
    """The learner who looks at the hostile block."""
    victim: str
    """The number that the switcher's form sends for another learner."""

    def attack(self, script: str) -> object:
        """What the script, the body of an async function, returns."""
        return self.visitor.page.evaluate(f"async (victim) => {{ {SWITCH} {script} }}", self.victim)

    def assert_still_mallory(self) -> None:
        self.visitor.open("/")
        self.visitor.expect_learner(self.mallory)


@pytest.fixture
def prey(visitor: Visitor, new_name: Callable[[str], str]) -> Prey:
    """Mallory has a unit open, on the session that could be the victim's by one form on the switcher's page."""
    victim, mallory = new_name("victim"), new_name("mallory")
    visitor.join(victim)
    visitor.join(mallory)
    switcher = visitor.page.context.request.get(f"{visitor.origin}/learners/").text()
    number = re.search(rf'name="learner" value="(\d+)"(?:(?!<form).)*? as {victim}<', switcher, re.DOTALL)
    assert number
    visitor.open_unit("welcome")
    return Prey(visitor, mallory, number[1])


def test_the_attack_would_work_from_the_switchers_own_page(prey: Prey) -> None:
    """What the other tests rely on: the request is a good one, and only the page's policy stops it."""
    prey.visitor.open("/learners/")
    prey.visitor.page.evaluate(
        """(victim) => {
            const token = document.querySelector('input[name=csrfmiddlewaretoken]').value;
            const body = new URLSearchParams({learner: victim, csrfmiddlewaretoken: token});
            return fetch('/learners/switch/', {method: 'POST', body}).then((response) => response.status);
        }""",
        prey.victim,
    )
    prey.visitor.open_unit("welcome")
    expect(prey.visitor.page.get_by_role("banner")).not_to_contain_text(prey.mallory)
    expect(prey.visitor.page.get_by_role("banner")).to_contain_text("victim")


REQUESTS = {
    "fetch": "return fetch('/learners/switch/', {method: 'POST', body: switchBody(), headers})",
    "fetch by a path with dots": "return fetch('/xblock/%2e%2e/learners/switch/', "
    "{method: 'POST', body: switchBody(), headers})",
    "XMLHttpRequest of the switcher": """return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.onload = () => resolve(request.responseText);
        request.onerror = reject;
        request.open('GET', '/learners/');
        request.send();
    })""",
    "fetch of the outline": "return fetch('/')",
    "jQuery": "return $.post('/learners/switch/', {learner: victim})",
    "htmx": """return htmx.ajax('POST', '/learners/switch/', {values: {learner: victim}, headers})
        .then(() => { throw new Error('htmx tells of errors by an event') })""",
}


@pytest.mark.parametrize("script", REQUESTS.values(), ids=REQUESTS.keys())
def test_requests_to_anything_but_blocks_are_refused(script: str, prey: Prey) -> None:
    outcome = prey.attack(
        f"""const refused = refusal();
        const answered = (async () => {{ {script} }})().then(() => 'answered', () => 'failed');
        return [await answered, await refused]"""
    )
    assert outcome == ["failed", "connect-src"]
    prey.assert_still_mallory()


def test_a_beacon_is_refused(prey: Prey) -> None:
    """It says that it was sent, whatever comes of it."""
    refused = prey.attack(
        "const word = refusal(); navigator.sendBeacon('/learners/switch/', switchBody()); return word"
    )
    assert refused == "connect-src"
    prey.assert_still_mallory()


@pytest.mark.parametrize("target", ["_self", "_blank", "frame"])
def test_a_form_is_not_sent_to_the_switcher(target: str, prey: Prey) -> None:
    refused = prey.attack(
        f"""const word = refusal(), form = document.createElement('form');
        form.method = 'post';
        form.action = '/learners/switch/';
        form.target = '{target}';
        for (const [name, value] of switchBody()) {{
            const field = document.createElement('input');
            field.name = name;
            field.value = value;
            form.append(field);
        }}
        const frame = document.createElement('iframe');
        frame.name = 'frame';
        document.body.append(frame, form);
        form.submit();
        return [await word, location.pathname]"""
    )
    assert refused == ["form-action", unit_path("welcome")]
    prey.assert_still_mallory()


@pytest.mark.parametrize("path", ["/learners/", "/", unit_path("spacing")])
def test_pages_are_not_framed(path: str, prey: Prey) -> None:
    refused = prey.attack(
        f"""const word = refusal(), frame = document.createElement('iframe');
        frame.src = '{path}';
        document.body.append(frame);
        return [await word, String(frame.contentDocument && frame.contentDocument.body.innerText)]"""
    )
    assert refused in (["frame-src", "null"], ["frame-src", ""])
    prey.assert_still_mallory()


def test_a_worker_which_would_have_a_policy_of_its_own_is_refused(prey: Prey) -> None:
    refused = prey.attack(
        """const word = refusal();
        try { new Worker(URL.createObjectURL(new Blob(['1']))) } catch { /* its error is its own */ }
        return word"""
    )
    assert refused == "worker-src"


WINDOWS = [
    "/learners/",
    "/",
    unit_path("spacing"),
    "/static/workbench/workbench.css",
    "/static/workbench/xblock-runtime.js",
    "/static/workbench/icon.svg",
    f"{POLL}/handler/student_voted",
    f"{POLL}/handler/no_such_handler",
    "/xblock/resource/poll/public/css/poll.css",
    "/xblock/asset/spacing.svg",
    "/learners/create/",
    "/learners",
    "/no/such/page/",
    unit_path("no-such-unit"),
    f"{POLL}/state/",
    "/xblock/none/state/",
    "/xblock/resource/poll/public/none.css",
    "/xblock/asset/none.svg",
]


def test_a_window_that_a_block_opens_is_out_of_its_reach_or_under_the_same_policy(
    prey: Prey,
) -> None:
    """A page of ours without a policy would send, from its own window, whatever the block's script tells it to."""
    page, outcomes = prey.visitor.page, {}
    for path in WINDOWS:
        with page.expect_popup() as opened:
            prey.attack(f"window.prey = window.open('{path}')")
        opened.value.wait_for_load_state()
        outcomes[path] = prey.attack(
            """const open = window.prey;
            if (open.closed) return 'out of reach';
            try { open.document.body } catch { return 'out of reach' }
            return open.fetch('/learners/switch/', {method: 'POST', body: switchBody(), headers})
                .then((response) => 'answered ' + response.status, () => 'refused')"""
        )
        opened.value.close()
    assert set(outcomes.values()) <= {"out of reach", "refused"}, outcomes
    prey.assert_still_mallory()


def test_a_window_left_behind_does_not_reach_its_opener_on_the_switchers_page(prey: Prey) -> None:
    """The block opens a unit in a second window, whose script waits until the first has gone to the switcher."""
    page = prey.visitor.page
    with page.expect_popup() as opened:
        prey.attack(f"window.open('{unit_path('welcome')}')")
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("Boolean(opener && opener.document.body)")
    prey.visitor.open("/learners/")
    reached = opened.value.evaluate(
        "() => { try { return Boolean(opener && opener.document.body) } catch { return false } }"
    )
    assert not reached
