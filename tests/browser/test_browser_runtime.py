"""What the page's script gives the blocks' scripts: init functions, arguments, children, handler URLs, notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.exercises import Poll
from tests.browser.server import Workbench
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

# Two packages with a `function PollBlock` each: xblock-poll (<poll>) and xblocks-contrib (<poll_question>).
COURSE = """\
<course org="Org" course="Names" url_name="run" display_name="Names">
  <chapter url_name="chapter" display_name="Chapter">
    <sequential url_name="section" display_name="Section">
      <vertical url_name="same-names" display_name="Same names">
        {polls}
      </vertical>
    </sequential>
  </chapter>
</course>
"""
POLLS = """\
<poll url_name="poll-{0}" display_name="Poll {0}" question="Tea?"
      answers='[["y", {{"label": "Yes", "img": "", "img_alt": ""}}],
                ["n", {{"label": "No", "img": "", "img_alt": ""}}]]'/>
<poll_question url_name="question-{0}" display_name="Question {0}">
  <p>Milk?</p><answer id="yes">With milk</answer><answer id="no">Without</answer>
</poll_question>
"""


@pytest.fixture(scope="module")
def two_polls(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("two-polls")
    (folder / "course.xml").write_text(COURSE.format(polls=POLLS.format(1) + POLLS.format(2)))
    workbench = Workbench(tmp_path_factory.mktemp("two-polls-workbench"), course=folder)
    workbench.start()
    yield workbench
    workbench.kill()


def test_two_packages_that_use_one_name_start_their_own_blocks(
    visit: Visit, two_polls: Workbench, new_name: Callable[[str], str]
) -> None:
    visitor = visit(two_polls.url, course="Org+Names+run")
    visitor.join(new_name("ada"))
    visitor.open_unit("same-names")
    for title in ["Poll 1", "Poll 2"]:
        card = visitor.card(title)
        card.get_by_role("radio", name="Yes").check()
        with visitor.answering("vote"):
            card.get_by_role("button", name="Submit").click()
    for title in ["Question 1", "Question 2"]:
        with visitor.answering("handle_submit_state"):
            visitor.card(title).get_by_text("With milk", exact=True).click()
    assert not visitor.troubles


# --- blocks made up in the page -----------------------------------------------------------------

BLOCK = """
({type, name = null, init = type, kind = 'xblock', args = '', inside = '', version = 1, block = ''}) =>
    `<div class="${kind}" data-usage-id="key-of-${name}" data-block-type="${type}" data-block-id="${block}"
          data-handler-url="/xblock/key-of-${name}/handler/" data-init="${init}" data-name="${name}"
          data-runtime-version="${version}">${inside}${args && `<script type="json/xblock-args"
          class="xblock_json_init_args">${args}</` + 'script>'}</div>`
"""
PREPARE = f"""
() => {{
    window.blockHtml = {BLOCK};
    window.order = [];
    window.Probe = function (runtime, element, ...rest) {{
        order.push(element.dataset.name);
        this.runtime = runtime;
        this.rest = rest;
    }};
    window.place = document.createElement('div');
    document.querySelector('main').append(place);
    window.put = (...html) => {{
        place.innerHTML = html.join('<p>between</p>');
        return XBlock.initializeBlocks(place);
    }};
}}
"""


@pytest.fixture
def page(visitor: Visitor, learner: str) -> Visitor:
    """A unit of the example course, where tests put blocks of their own, as blocks do that fetch HTML."""
    visitor.open_unit(Poll.unit)
    visitor.page.evaluate(PREPARE)
    return visitor


def run(visitor: Visitor, script: str) -> Any:
    return visitor.page.evaluate(f"() => {{ {script} }}")


def notices(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("log", name="Notices")


def test_children_start_before_their_parents_and_asides_after_their_blocks(page: Visitor) -> None:
    run(
        page,
        """
        const leaf = (name) => blockHtml({type: 'Probe', name});
        const aside = blockHtml({type: 'Probe', name: 'aside', kind: 'xblock_asides-v1', block: 'key-of-inner'});
        const inner = blockHtml({type: 'Probe', name: 'inner', inside: leaf('leaf')});
        put(blockHtml({type: 'Probe', name: 'outer', inside: aside + inner}), leaf('last'));
        """,
    )
    assert run(page, "return order") == ["leaf", "inner", "aside", "outer", "last"]


def test_a_block_is_started_once(page: Visitor) -> None:
    started = run(
        page,
        """
        const [block] = put(blockHtml({type: 'Probe', name: 'one'}));
        const again = XBlock.initializeBlocks(place)[0];
        return again === block && XBlock.initializeBlock($(place.firstChild)) === block;
        """,
    )
    assert started
    assert run(page, "return order") == ["one"]


def test_children_are_those_of_the_block_itself_without_asides(page: Visitor) -> None:
    found = run(
        page,
        """
        const leaf = (name) => blockHtml({type: 'Probe', name});
        const inner = blockHtml({type: 'Probe', name: 'b', inside: leaf('deep')});
        const aside = blockHtml({type: 'Probe', name: 'aside', kind: 'xblock_asides-v1'});
        const [outer] = put(blockHtml({
            type: 'Probe', name: 'outer',
            inside: `<div>${leaf('a')}${aside}</div>${inner}<p class="text">words</p>`,
        }));
        const names = (element) => outer.runtime.children(element).map((child) => child.name);
        return {
            outer: names(outer.element),
            jquery: names($(outer.element)),
            fromInside: names(place.querySelector('.text')),
            inner: names(outer.runtime.childMap(outer.element, 'b').element),
            none: outer.runtime.childMap(outer.element, 'deep') === undefined,
            types: outer.runtime.children(outer.element).map((child) => child.type),
        };
        """,
    )
    assert found == {
        "outer": ["a", "b"],
        "jquery": ["a", "b"],
        "fromInside": ["a", "b"],
        "inner": ["deep"],
        "none": True,
        "types": ["Probe", "Probe"],
    }


def test_an_init_function_is_given_its_own_arguments_or_an_empty_object(page: Visitor) -> None:
    given = run(
        page,
        """
        const inner = blockHtml({type: 'Probe', name: 'inner', args: '{"of": "inner"}'});
        const outer = blockHtml({type: 'Probe', name: 'outer', inside: inner});
        const [block] = put(outer, blockHtml({type: 'Probe', name: 'list', args: '[1, null]'}));
        const list = XBlock.initializeBlocks(place)[1];
        return [block.runtime.childMap(block.element, 'inner').rest, block.rest, list.rest];
        """,
    )
    assert given == [[{"of": "inner"}], [{}], [[1, None]]]


def test_an_aside_is_given_the_element_of_its_block_in_jquery_before_its_arguments(page: Visitor) -> None:
    given = run(
        page,
        """
        const aside = blockHtml({
            type: 'Probe', name: 'aside', kind: 'xblock_asides-v1', block: 'key-of-mine', args: '{"a": 1}',
        });
        const leaf = (name) => blockHtml({type: 'Probe', name});
        put(leaf('other'), leaf('mine'), aside);
        const {rest} = XBlock.initializeBlocks(place).at(-1);
        return [rest[0].jquery !== undefined, rest[0].length, rest[0].data('name'), rest[1]];
        """,
    )
    assert given == [True, 1, "mine", {"a": 1}]


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ("'act'", "act"),
        ("'act', 'a/b c'", "act/a%2Fb%20c"),
        ("'act', '', 'x=1&y=%20'", "act?x=1&y=%20"),
        ("'act', '', '?x=1'", "act?x=1"),
        ("'act', 's', {x: 'a b', y: 2}", "act/s?x=a+b&y=2"),
        ("'', undefined, undefined", ""),
    ],
)
def test_a_handlers_url_has_suffix_and_query_as_given(page: Visitor, arguments: str, url: str) -> None:
    made = run(
        page,
        f"""
        const [block] = put(blockHtml({{type: 'Probe', name: 'x', inside: '<b>inside</b>'}}));
        const inside = block.element.querySelector('b');
        return [block.element, $(block.element), inside].map((e) => block.runtime.handlerUrl(e, {arguments}));
        """,
    )
    assert made == [f"/xblock/key-of-x/handler/{url}"] * 3


def test_an_asides_handlers_are_its_own_and_not_those_of_the_block_around(page: Visitor) -> None:
    made = run(
        page,
        """
        const aside = blockHtml({type: 'Probe', name: 'aside', kind: 'xblock_asides-v1'});
        const [block] = put(blockHtml({type: 'Probe', name: 'outer', inside: aside}));
        return block.runtime.handlerUrl(block.element.querySelector('.xblock_asides-v1'), 'act');
        """,
    )
    assert made == "/xblock/key-of-aside/handler/act"


def test_a_third_party_gets_its_own_url_or_an_error_says_that_there_is_none(page: Visitor) -> None:
    made = run(
        page,
        """
        const [block] = put(blockHtml({type: 'Probe', name: 'x'}));
        const url = () => block.runtime.handlerUrl(block.element, 'act', 's', 'q=1', true);
        let message;
        try { url(); } catch (error) { message = error.message; }
        block.element.dataset.thirdpartyUrl = '/xblock/signed/abc/key/handler/';
        return [message, url()];
        """,
    )
    assert made == [
        "This block has no handlers for third parties",
        "/xblock/signed/abc/key/handler/act/s?q=1",
    ]


def test_init_functions_of_every_kind_start(page: Visitor) -> None:
    started = run(
        page,
        """
        window.Arrow = (runtime, element) => ({kind: 'arrow'});
        window.Kind = class { constructor(runtime, element) { this.kind = 'class'; } };
        window.Plain = function () { return undefined; };
        const html = ['Arrow', 'Kind', 'Plain', ''].map((init) => blockHtml({type: 't', name: init, init}));
        return put(...html).map((block) => [block.kind, block.name]);
        """,
    )
    assert started == [["arrow", "Arrow"], ["class", "Kind"], [None, "Plain"], [None, ""]]


def test_a_block_or_aside_that_cannot_start_says_so_and_the_others_start(page: Visitor) -> None:
    run(
        page,
        """
        window.Broken = function () { throw new Error('a bug in init'); };
        const probe = (name) => blockHtml({type: 'Probe', name});
        put(
            blockHtml({type: 'Broken', name: 'block'}), probe('first'),
            blockHtml({type: 'Broken', name: 'aside', kind: 'xblock_asides-v1'}), probe('second'),
            blockHtml({type: 'Probe', name: 'newer', version: 2}),
            blockHtml({type: 'Probe', name: 'odd', args: '{oops'}), probe('third'),
        );
        """,
    )
    assert run(page, "return order") == ["first", "second", "third"]
    cards = page.page.get_by_role("alert")
    for name, title, reason in [
        ("block", "This block could not start", "a bug in init"),
        ("newer", "This block could not start", "This page has no runtime of version 2"),
        ("odd", "This block could not start", "JSON"),
        ("aside", "This aside could not start", "a bug in init"),
    ]:
        card = cards.filter(has_text=f"key-of-{name}")
        expect(card).to_contain_text(title)
        expect(card).to_contain_text(reason)
    expect(cards).to_have_count(4)


def test_the_init_function_of_a_type_is_the_one_that_its_own_scripts_defined(page: Visitor) -> None:
    started = run(
        page,
        """
        const makes = (text) => function () { this.made = text; };
        XBlock.keepInit('late', 'Init'); // not defined yet
        window.Init = makes('of one');
        XBlock.keepInit('one', 'Init');
        window.Init = makes('of two');
        XBlock.keepInit('two', 'Init');
        XBlock.keepInit('one', 'Init'); // its scripts are not run a second time
        return put(...['one', 'two', 'late'].map((type) => blockHtml({type, init: 'Init'}))).map((b) => b.made);
        """,
    )
    assert started == ["of one", "of two", "of two"]


def test_an_editors_work_is_told_in_notices(page: Visitor) -> None:
    run(page, "window.runtime = put(blockHtml({type: 'Probe'}))[0].runtime")
    run(page, "runtime.notify('save', {state: 'start', message: 'Saving the poll'})")
    expect(notices(page)).to_contain_text("Saving the poll")
    run(page, "runtime.notify('save', {state: 'end'})")
    expect(notices(page)).to_contain_text("Saved.")
    expect(notices(page)).not_to_contain_text("Saving the poll")
    run(page, "runtime.notify('save', {state: 'start'})")
    run(page, "runtime.notify('error', {title: 'Unable to save', message: 'No <b>question</b>'})")
    expect(notices(page)).to_contain_text("Unable to save No <b>question</b>")
    expect(notices(page)).not_to_contain_text("Saving …")
    run(page, "runtime.notify('cancel', {})")
    expect(notices(page)).to_contain_text("Cancelled: nothing was saved")


def test_what_a_block_notifies_of_is_heard_by_those_who_listen(page: Visitor) -> None:
    heard = run(
        page,
        """
        const blocks = put(blockHtml({type: 'Probe', name: 'a'}), blockHtml({type: 'Probe', name: 'b'}));
        const heard = [];
        blocks[0].runtime.listenTo('submit', (data) => heard.push(['first', data]));
        blocks[0].runtime.listenTo('submit', (data) => heard.push(['second', data]));
        blocks[1].runtime.notify('submit', {n: 1});
        blocks[1].runtime.notify('other');
        return heard;
        """,
    )
    assert heard == [["first", {"n": 1}], ["second", {"n": 1}]]
    expect(notices(page)).to_be_empty()
