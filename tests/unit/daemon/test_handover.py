"""What crosses from one process to another comes out as it went in, and what is nothing of ours is refused."""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.daemon.handover import (
    HEAD,
    Answer,
    HandoverMessage,
    get_codec,
    put_together,
    read_head,
    take_apart,
    write_message,
)
from routed.intent.load import load
from routed.intent.problems import Problem
from routed.model import entries
from routed.model.entries import Entry, Intent, LinkEntry, Origin, RouteEntry, Source
from routed.model.handover import VERSION, HandoverError, ValueCodec
from routed.model.prefixes import PrefixSet
from tests.property import worlds

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.toml"))


def pass_on(answer: Answer) -> tuple[Answer, Intent | None]:
    """The answer, as it comes out at the other end."""
    stream = b"".join(chain.from_iterable(map(write_message, take_apart(answer))))
    messages: list[Any] = []
    while stream:
        text, beside = read_head(stream[: HEAD.size])
        stream = stream[HEAD.size :]
        messages.append(get_codec().load(stream[:text], stream[text : text + beside]))
        stream = stream[text + beside :]
    head, *rest = messages
    sources, pieces = rest[: head.sources], rest[head.sources :]
    return head, put_together(head, sources, list(chain.from_iterable(pieces)))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_comes_out_as_it_went_in(example: Path) -> None:
    loaded = load(example)
    head, intent = pass_on(Answer(loaded.intent, notices=loaded.notices))
    assert intent == loaded.intent
    assert head.notices == loaded.notices
    assert intent is not None
    # 1 and True are equal, and are not the same; the members of a set may come in any order.
    assert sorted(repr(intent)) == sorted(repr(loaded.intent))


@given(worlds.files())
def test_every_entry_comes_out_as_it_went_in(some: tuple[Entry, ...]) -> None:
    intent = Intent(entries=some, table_names={254: "main"}, digest="d")
    assert pass_on(Answer(intent))[1] == intent


@given(st.lists(st.binary(min_size=4, max_size=4)), st.integers(0, 20_000))
def test_large_sets_and_many_entries_come_in_pieces(addresses: list[bytes], count: int) -> None:
    prefixes = PrefixSet.of(address + b"\x20" for address in addresses)
    large = RouteEntry(name="route/large", origin=Origin("f", 1), prefixes={2: prefixes} if prefixes else {})
    link = LinkEntry(name="link/a", origin=Origin("f", 2), link="a", kind="dummy")
    sources = (Source("f", bytes(count), "main"), Source("g\udcff", b"\xff", "prefixes"))
    intent = Intent(entries=(large, *[link] * (count // 10), large), sources=sources)
    assert pass_on(Answer(intent))[1] == intent


def test_a_million_prefixes_are_not_written_as_text() -> None:
    ordered = b"".join(number.to_bytes(4, "big") + b"\xdf" for number in range(0, 2_000_000, 2))
    entry = RouteEntry(name="route/a", origin=Origin("f", 1), prefixes={2: PrefixSet(ordered, 5)})
    head, beside = write_message((entry,))
    assert len(head) < 500
    assert beside is ordered


def test_problems_come_out_as_they_went_in() -> None:
    problem = Problem("/etc/\udcff.toml", 3, 1, "no\nsuch", "\tüñ", "hint")
    assert pass_on(Answer(problems=(problem,), being_written=("/a",)))[0] == Answer(
        problems=(problem,), being_written=("/a",)
    )


def test_everything_that_an_intent_may_hold_is_known() -> None:
    values = [
        one
        for one in vars(entries).values()
        if inspect.isclass(one)
        and one.__module__ == entries.__name__
        and (issubclass(one, (tuple, Enum)) or hasattr(one, "__dataclass_fields__"))
        and one not in {Entry, entries.Form}
    ]
    assert len(values) > 10
    assert [one.__name__ for one in values if one not in get_codec()._shapes] == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {"Nothing": {}}, {"os.system": "true"}, {"Origin": {"file": "f"}}, {"Origin": {"file": "f", "row": 3}},
        {"Origin": 5}, {"Origin": ["f", 3]}, {"When": "never"}, {"When": {"value": "always"}}, {}, {"a": 1, "b": 2},
        {"bytes": 1}, {"bytes": -1}, {"bytes": "x"}, {"hex": "0"}, {"hex": 5}, {"set": 3}, {"set": [{"dict": []}]},
        {"dict": [[1]]}, {"dict": 7},
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused_with_one_error(nonsense: Any) -> None:
    with pytest.raises(HandoverError):
        get_codec().decode([nonsense])


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused_with_one_error(text: bytes) -> None:
    with pytest.raises(HandoverError):
        get_codec().load(text, b"")


def test_bytes_that_nobody_takes_are_refused() -> None:
    with pytest.raises(HandoverError, match="2 bytes are left over"):
        get_codec().load(b"[]", b"ab")


def test_another_version_is_refused() -> None:
    with pytest.raises(HandoverError, match=f"of version {VERSION + 1}"):
        read_head(HEAD.pack(VERSION + 1, 2, 0))


@pytest.mark.parametrize("value", [object(), [1], {1, 2}, Path("/"), ValueError("x"), 1j])
def test_what_is_of_no_known_type_is_not_written(value: Any) -> None:
    with pytest.raises(HandoverError, match="cannot be handed over"):
        get_codec().dump(value)


def test_a_field_as_its_default_says_is_left_out_and_bytes_without_a_place_beside_are_hex() -> None:
    codec = ValueCodec((Source, Problem))
    assert codec.encode(Problem("f", 1, 1, "m")) == {"Problem": {"file": "f", "line": 1, "column": 1, "message": "m"}}
    text = json.dumps(codec.encode(Source("f", b"\x0a", "main")))
    assert text == '{"Source": {"file": "f", "content": {"hex": "0a"}, "role": "main"}}'.replace("file", "path")
    assert codec.decode(json.loads(text)) == Source("f", b"\x0a", "main")


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_message_that_is_damaged_is_refused_or_is_another(noise: bytes, at: int) -> None:
    message: HandoverMessage = Answer(replace(Intent(), digest="d"), problems=(Problem("f", 1, 1, "m"),))
    head, beside = write_message(message)
    text = bytearray(head[HEAD.size :])
    text[at : at + len(noise)] = noise
    with suppress(HandoverError):
        get_codec().load(bytes(text), beside)
