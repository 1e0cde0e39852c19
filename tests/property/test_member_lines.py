"""A stream of documents comes to the same members wherever it is cut into pieces, and nobody goes for half of one."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from routed.members.document import DocumentError
from routed.members.lines import Lines, read_lines
from routed.model.members import Member, Snapshot

NAMES = st.sets(st.sampled_from("abcdef"))
DOCUMENTS = st.lists(st.tuples(NAMES, st.booleans()), max_size=8)


def write(documents: Iterable[tuple[set[str], bool]]) -> bytes:
    tables = ({"members": [{"name": one} for one in sorted(names)], "complete": whole} for names, whole in documents)
    return b"".join(json.dumps(one).encode() + b"\n" for one in tables)


def listen(pieces: Iterable[bytes]) -> dict[str, Member]:
    """Who is a member after these pieces: a complete document says all, another one only who is there."""
    lines, members = Lines(), dict[str, Member]()
    for piece in pieces:
        if written := lines.feed(piece):
            snapshot = read_lines(written)
            told = {one.name: one for one in snapshot.members}
            members = told if snapshot.is_complete else members | told
    return members


@given(DOCUMENTS, st.data())
def test_any_cut(documents: list[tuple[set[str], bool]], data: st.DataObject) -> None:
    stream = write(documents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert listen(pieces) == listen([stream])


@given(DOCUMENTS, st.data())
def test_a_stream_that_ends_anywhere_says_what_its_whole_lines_say(
    documents: list[tuple[set[str], bool]], data: st.DataObject
) -> None:
    stream = write(documents)
    end = data.draw(st.integers(0, len(stream)))
    assert listen([stream[:end]]) == listen([stream[: stream.rfind(b"\n", 0, end) + 1]])


STEPS = st.lists(st.tuples(NAMES, NAMES, st.booleans()), max_size=8)


@given(STEPS, st.data())
def test_any_cut_of_changes_ends_with_the_same_members(
    steps: list[tuple[set[str], set[str], bool]], data: st.DataObject
) -> None:
    tables = [
        {"members": [{"name": one} for one in sorted(names)], "complete": whole}
        | ({} if whole else {"gone": sorted(gone)})
        for names, gone, whole in steps
    ]
    stream = b"".join(json.dumps(one).encode() + b"\n" for one in tables)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    lines, members = Lines(), set[str]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if written := lines.feed(stream[start:end]):
            snapshot = read_lines(written)
            names = {one.name for one in snapshot.members}
            assert snapshot.is_complete is (snapshot.gone is None)
            members = names if snapshot.is_complete else (members - set(snapshot.gone or ())) | names
    expected = set[str]()
    for names, gone, whole in steps:
        expected = set(names) if whole else (expected - gone) | names
    assert members == expected


def test_what_is_wrong_with_a_member_counts_until_a_later_document_tells_better() -> None:
    wrong = b'{"members": [{"name": "a", "port": -1}]}'
    more = b'{"members": [{"name": "a"}], "complete": false}'
    assert [one.name for one in read_lines([wrong]).broken] == ["a"]
    assert read_lines([wrong, more]) == Snapshot((Member("a"),))
    assert read_lines([more, wrong]).members == ()
    assert not read_lines([more, more]).is_complete


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    try:
        listen(pieces)
    except DocumentError as error:
        assert str(error)  # noqa: PT017  every other one is a defect
