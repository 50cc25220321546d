"""What hypothesis draws fields from."""

from hypothesis import strategies as st

text_with_surrogates = st.text(st.characters(exclude_categories=()), max_size=12)
"""Any text that Python can hold, lone surrogates and U+0000 with it."""

field_names = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12
) | st.sampled_from(
    ["", "a.b", "a[0]", 'a"b', "a'b", "a\\b", "$", "$.a", " ", "é", "\U0001f600", "%s", "{}", "null"]
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text_with_surrogates,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text_with_surrogates, inner, max_size=3),
    max_leaves=8,
)
