"""A shared mapping is what a dictionary would be after the same changes, and tells what two of them differ in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routed.model.shared import Shared, SharedSet

KEYS = st.integers(0, 300)
CHANGES = st.lists(st.tuples(st.dictionaries(KEYS, st.integers(1, 3), max_size=120), st.sets(KEYS, max_size=60)))
Change = tuple[dict[int, int], set[int]]


def tell_differing(after: Shared[int, int], before: Shared[int, int]) -> dict[int, tuple[int | None, int | None]]:
    return {one.key: (one.before, one.after) for one in after.find_differing(before)}


def find_differing(after: dict[int, int], before: dict[int, int]) -> dict[int, tuple[int | None, int | None]]:
    keys = before.keys() | after.keys()
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


@given(st.dictionaries(KEYS, st.integers(1, 3)), CHANGES)
def test_it_is_what_a_dictionary_would_be(begin: dict[int, int], changes: list[Change]) -> None:
    plain, shared = dict(begin), Shared(begin)
    first, began = shared, dict(begin)
    for changed, gone in changes:
        before, former = dict(plain), shared
        for key in gone:
            plain.pop(key, None)
        plain |= changed
        shared = shared.put(changed, gone)
        assert (dict(shared.items()), len(shared), set(shared)) == (plain, len(plain), set(plain))
        assert dict(former.items()) == before  # nobody sees another's change
        assert shared == Shared(plain)
        assert (shared == former) is (plain == before)
        assert all(shared.get(key) == plain.get(key) and (key in shared) is (key in plain) for key in range(301))
        assert tell_differing(shared, former) == find_differing(plain, before)
        assert tell_differing(former, shared) == find_differing(before, plain)
        assert tell_differing(shared, first) == find_differing(plain, began)


def test_what_did_not_change_is_shared() -> None:
    before = Shared({number: [number] for number in range(5000)})
    after = before.put({7: [0]}, [8])
    assert sorted(one.key for one in after.find_differing(before)) == [7, 8]
    assert sum(a is not b for a, b in zip(before._shards, after._shards, strict=True)) <= 2
    assert before.put({}) is before
    assert before.put({}, [9999]) is before


@given(st.sets(KEYS), st.lists(st.sets(KEYS, max_size=60)), st.sets(KEYS))
def test_a_set_of_that_kind_is_what_a_set_would_be(begin: set[int], more: list[set[int]], other: set[int]) -> None:
    plain, shared = set(begin), SharedSet(begin)
    for some in more:
        before, former = set(plain), shared
        plain |= some
        shared = shared.add(some)
        assert set(shared) == plain
        assert set(former) == before  # nobody sees another's change
        assert (len(shared), bool(shared)) == (len(plain), bool(plain))
        assert shared.find_new(former) == frozenset(plain - before)
        assert shared.find_new(frozenset(other)) == (frozenset(plain - other) if other <= plain else None)
        assert former.find_new(shared) == (frozenset() if plain == before else None)
