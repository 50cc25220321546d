"""The elements around blocks and asides."""

from __future__ import annotations

import json

import pytest
from acid import AcidAside
from lxml import html
from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment
from xblock.core import XBlock
from xblock.fields import ScopeIds
from xblock.test.tools import TestRuntime

from fieldstone.runtime.wrapping import wrapped, wrapped_aside
from fieldstone.xblock.declared import aside_key

KEY = UsageKey.from_string("block-v1:Org+Course+run+type@acid+block@x")
ASIDE_KEY = aside_key(KEY, "acid_aside")


@pytest.fixture
def block():
    return XBlock(TestRuntime(services={"field-data": None}), scope_ids=ScopeIds(1, "acid", KEY, KEY))


@pytest.fixture
def aside(block):
    return AcidAside(scope_ids=ScopeIds(1, "acid_aside", ASIDE_KEY, ASIDE_KEY), runtime=block.runtime)


def fragment(init=None, arguments=None):
    made = Fragment("<p>Words</p>")
    made.add_javascript("function Start() {}")
    if init:
        made.initialize_js(init, arguments)
    return made


def around(block, made, **options):
    options = {"usage_key": KEY, "block_type": "acid", "handler_url": "/h/", "name": None} | options
    return wrapped(block, "student_view", made, **options)


def test_a_blocks_html_is_a_direct_child_of_its_element(block):
    root = html.fragment_fromstring(around(block, fragment("Start", {"a": 1})).content)
    assert [child.tag for child in root] == ["p", "script"]
    assert root.find("p").text == "Words"


def test_what_is_not_given_makes_no_attribute(block):
    root = html.fragment_fromstring(around(block, fragment()).content)
    assert set(root.attrib) == {"class", "data-usage", "data-usage-id", "data-block-type", "data-handler-url"}
    root = html.fragment_fromstring(around(block, fragment("Start"), name="n", thirdparty_url="/t/").content)
    assert root.get("data-name") == "n"
    assert root.get("data-thirdparty-url") == "/t/"
    assert (root.get("data-init"), root.get("data-runtime-version")) == ("Start", "1")
    assert [child.tag for child in root] == ["p"], "no arguments were given"


def test_the_init_function_is_kept_right_behind_the_scripts_that_define_it(block):
    texts = [resource.data for resource in around(block, fragment("Start")).resources]
    assert texts == ["function Start() {}", 'XBlock.keepInit("acid", "Start");']
    again = around(block, fragment("Start")).resources
    assert len({*around(block, fragment("Start")).resources, *again}) == 2, "the same for each block of a type"
    assert len(around(block, fragment()).resources) == 1


def test_an_asides_element_names_its_block_and_is_no_block(block, aside):
    made = wrapped_aside(block, aside, "student_view", fragment("Start", {"a": 1}), handler_url="/h/")
    root = html.fragment_fromstring(made.content)
    assert "xblock_asides-v1" in root.classes
    assert "xblock" not in root.classes
    assert root.get("data-block-id") == str(KEY)
    assert root.get("data-usage") == root.get("data-usage-id") == str(ASIDE_KEY)
    assert root.get("data-block-type") == "acid_aside"
    assert root.get("data-handler-url") == "/h/"
    assert json.loads(root.find("script").text) == {"a": 1}
    assert made.resources[-1].data == 'XBlock.keepInit("acid_aside", "Start");'


def test_nothing_in_names_and_arguments_ends_an_element_or_a_script(block):
    said = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    made = around(block, fragment(said, said), name=said, block_type=said)
    (root,) = html.fragments_fromstring(made.content)
    assert [child.tag for child in root] == ["p", "script"]
    assert (root.get("data-name"), root.get("data-init"), root.get("data-block-type")) == (said,) * 3
    assert json.loads(root.find("script").text) == said
    assert "<" not in made.resources[-1].data
