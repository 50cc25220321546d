"""What blocks hear of completions."""

from __future__ import annotations

import pytest

from fieldstone.runtime.services import services_for
from fieldstone.store.store import Store
from fieldstone.workbench.courses import current_course
from fieldstone.xblock.declared import aside_key
from tests.runtime.courses import example, key_in, unit_of
from tests.runtime.services.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ids_forgotten")]


def complete(user, usage_key, completion):
    Store().save(user, {aside_key(usage_key, "fieldstone_completion"): {"completion": completion}})


@pytest.fixture
def unit(tmp_path):
    return unit_of(
        tmp_path,
        """<poll url_name="p"/><html url_name="h">text</html>
        <vertical url_name="inner"><problem url_name="q"><p/></problem></vertical>""",
    )


def service(page, usage_key):
    """A block, and what it would get as ``completion``."""
    return page.get_block(usage_key), services_for(page)["completion"]


def test_a_completion_is_what_is_stored_and_nothing_is_zero(ada, bob, unit, django_assert_num_queries):
    poll, text = key_in(unit, "poll", "p"), key_in(unit, "html", "h")
    complete(ada, poll, 0.5)
    complete(bob, text, 1.0)
    _, completions = service(page_of(unit, ada), poll)
    assert completions.completion_tracking_enabled() is True
    with django_assert_num_queries(1):
        assert completions.get_completions([poll, text]) == {poll: 0.5, text: 0.0}


def test_a_unit_is_complete_when_all_below_it_is(ada, unit):
    def is_complete():
        vertical, completions = service(page_of(unit, ada), key_in(unit, "vertical", "unit"))
        return completions.vertical_is_complete(vertical)

    for block_type, block_id in (("poll", "p"), ("html", "h"), ("problem", "q")):
        assert is_complete() is False
        complete(ada, key_in(unit, block_type, block_id), 1.0)
    assert is_complete() is True


def test_a_block_with_neither_score_nor_completion_of_its_own_is_complete_on_view(ada, unit):
    def to_mark():
        page = page_of(unit, ada)
        blocks = [page.get_block(key_in(unit, *key)) for key in (("poll", "p"), ("problem", "q"), ("html", "h"))]
        found = services_for(page)["completion"].blocks_to_mark_complete_on_view(blocks)
        return {block.scope_ids.block_type for block in found}

    assert to_mark() == {"html"}
    complete(ada, key_in(unit, "html", "h"), 1.0)
    assert to_mark() == set()


def test_a_page_learns_how_long_a_block_has_to_be_seen(ada, unit):
    _, completions = service(page_of(unit, ada), key_in(unit, "html", "h"))
    assert completions.get_complete_on_view_delay_ms() > 0


def test_a_container_is_never_complete_on_view(ada):
    page = page_of(current_course(), ada)
    vertical, completions = service(page, example("vertical", "welcome"))
    assert not completions.can_mark_block_complete_on_view(vertical)
