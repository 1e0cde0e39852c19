"""The scanner finds exactly the keys that tomllib finds, and points at them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from routed.intent.locate import locate
from routed.intent.problems import KeyPath

KEYS = st.one_of(st.sampled_from(["to", "via", "route", "a-b", "1", "a b", 'q"q', "ü", ""]), st.text(max_size=5))
SCALARS = st.one_of(
    st.integers(-(2**60), 2**60), st.booleans(), st.text(), st.floats(allow_nan=False), st.dates(), st.datetimes(),
    st.sampled_from(["[x]", "a = 1", '"', "'''", '"""', "#", "\n[y]\n", "\\", 'a""""', "}"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)

BY_HAND = (
    r'''
a.b.c = 1                # a comment with "quotes' and [brackets]
"quoted key".'and literal' = """
[not.a.table]
k = 1 \"""\" # a quote at the end: "
"""""
x = {a = 1, b.c = [1, 2, {d = "]"}], "e f" = '}'}
y = [
  "one", # ]
  'two',
  [["deep"], []],
  {z = 1},
]
date = 1979-05-27 07:32:00
lit = '''
    "'''\n[no]\nit''s'''''"
    r"""
[ table . "sub table" ]
k=1
[[arr]]
[[arr.inner]]
k = "v"
[[arr.inner]]
[arr.inner.deep]
k = 0x1F
[[arr]]
inner.k = 1
"""
)


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    found = {path}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found |= paths_of(item, (*path, key))
    return found


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_every_key_of_a_random_document_has_its_place_and_nothing_else_has(document: dict[str, Any]) -> None:
    text = tomli_w.dumps(document)
    assert set(locate(text).offsets) == paths_of(tomllib.loads(text))


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.booleans())
def test_the_place_of_a_key_is_the_key_itself(document: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline)
    for path, offset in locate(text).offsets.items():
        if path and isinstance(path[-1], str) and text[offset] not in "[\"'":
            assert text.startswith(path[-1], offset)


def test_a_document_by_hand_is_found_whole() -> None:
    assert set(locate(BY_HAND).offsets) == paths_of(tomllib.loads(BY_HAND))


@pytest.mark.parametrize(
    ("path", "start"),
    [(("a", "b"), "b.c = 1"), (("x", "b", "c", 2, "d"), 'd = "]"'), (("y", 2, 0, 0), '"deep"'),
     (("arr", 0, "inner", 1, "deep", "k"), "k = 0x1F"), (("arr", 1, "inner", "k"), "k = 1"),
     (("arr", 1), "[[arr]]\ninner"), (("y", 3, "z"), "z = 1"), (("date",), "date")],
)  # fmt: skip
def test_places_by_hand(path: KeyPath, start: str) -> None:
    assert BY_HAND.startswith(start, locate(BY_HAND).offsets[path])


def test_a_key_that_is_not_written_is_placed_at_the_table_around_it() -> None:
    assert locate("a = 1\n  [[r]]\n  to = 1\n").find(("r", 0, "missing")) == (2, 3)


def test_ten_thousand_tables_cost_no_more_each_than_a_hundred() -> None:
    # Counted in scanner steps, not in seconds: one place a key and one a table.
    text = '[[route]]\nto = "10.0.0.0/8"\n' * 10_000
    assert len(locate(text).offsets) == 2 + 2 * 10_000
