"""What hypothesis draws fields from."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fieldstone.store import DELETED

text_with_surrogates = st.text(st.characters(exclude_categories=()), max_size=12)
"""Any text that Python can hold, lone surrogates and U+0000 with it."""

field_names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12
) | st.sampled_from(
    ["", "a.b", "a[0]", 'a"b', "a'b", "a\\b", "$", "$.a", " ", "é", "\U0001f600", "%s", "{}", "null"]
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text_with_surrogates,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text_with_surrogates, inner, max_size=3),
    max_leaves=8,
)


def saves(min_fields: int = 0, max_saves: int = 5) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Changes of one place, one save after the other."""
    values = json_values | st.just(DELETED)
    return st.lists(st.dictionaries(field_names, values, min_size=min_fields, max_size=4), max_size=max_saves)


def examples(count: int) -> settings:
    """Settings of a test that is given so many, one after the other on the same store."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
