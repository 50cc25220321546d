"""The element around a block's HTML, and around an aside's: from it the page's script knows what to start.

A block's own HTML is always a direct child of its element: blocks' scripts and style sheets look for it there.
"""

from __future__ import annotations

import json
from typing import Any

from django.utils.html import format_html, format_html_join
from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment
from xblock.core import XBlock, XBlockAside


def wrapped(
    block: XBlock,
    view: str,
    fragment: Fragment,
    *,
    usage_key: UsageKey,
    block_type: str,
    handler_url: str,
    name: str | None,
    thirdparty_url: str | None = None,
) -> Fragment:
    """A block's fragment in its element.

    ``handler_url`` is what the URL of each of its handlers begins with, ``thirdparty_url`` the same for callers
    without a session; ``name`` is what ``childMap`` finds it by.
    """
    data = {
        "usage": str(usage_key),
        "usage-id": str(usage_key),
        "block-type": block_type,
        "handler-url": handler_url,
        "thirdparty-url": thirdparty_url,
        "name": name,
    }
    classes = ["xblock", "xblock-v1", f"xblock-v1-{view}", f"xblock-{view}", f"xblock-{view}-{block_type}"]
    return _element([*classes, *_platform_classes(block)], data, block_type, fragment)


def wrapped_aside(
    block: XBlock,
    aside: XBlockAside,
    view: str,
    fragment: Fragment,
    *,
    handler_url: str,
    thirdparty_url: str | None = None,
) -> Fragment:
    """An aside's fragment in its element, which names the block that it is beside.

    No ``xblock`` among its classes: a block's children are counted by that, and an aside is no child.
    """
    key = str(aside.scope_ids.usage_id)
    aside_type = aside.scope_ids.block_type
    data = {
        "usage": key,
        "usage-id": key,
        "block-id": str(block.scope_ids.usage_id),
        "block-type": aside_type,
        "handler-url": handler_url,
        "thirdparty-url": thirdparty_url,
    }
    classes = ["xblock_asides-v1", f"xblock_asides-v1-{view}", f"xblock-{view}", f"xblock-{view}-{aside_type}"]
    return _element(classes, data, aside_type, fragment)


def _element(classes: list[str], data: dict[str, str | None], block_type: str, fragment: Fragment) -> Fragment:
    """The element, its data attributes (``None`` left out) and the arguments of its init function."""
    init = fragment.js_init_fn
    if init:
        data = data | {"init": init, "runtime-version": str(fragment.js_init_version)}
    arguments = ""
    if fragment.json_init_args is not None:
        text = _json_for_html(fragment.json_init_args)
        arguments = f'<script type="json/xblock-args" class="xblock_json_init_args">{text}</script>'
    element = Fragment(
        format_html(
            '<div class="{}"{}>',
            " ".join(classes),
            format_html_join(
                "", ' data-{}="{}"', ((key, value) for key, value in data.items() if value is not None)
            ),
        )
        + fragment.body_html()
        + arguments
        + "</div>"
    )
    element.add_fragment_resources(fragment)
    if init:
        # Right after the scripts that define it: further down the page another package may use the same name.
        element.add_javascript(f"XBlock.keepInit({_json_for_html(block_type)}, {_json_for_html(init)});")
    return element


def _json_for_html(value: Any) -> str:
    # "<" escaped: a "</script>" in a learner's answer must not end the element.
    return json.dumps(value).replace("<", "\\u003c")


def _platform_classes(block: XBlock) -> list[str]:
    """The classes that the style sheets of the blocks extracted from Open edX start from."""
    if not getattr(block, "uses_xmodule_styles_setup", False):
        return []
    cls = getattr(type(block), "unmixed_class", type(block))
    return ["xmodule_display", f"xmodule_{cls.__name__}"]
