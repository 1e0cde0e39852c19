"""Whatever the kernel, an operator or a process puts into a name can be printed and sent."""

from __future__ import annotations

import io
import json
import os
import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit import journal_sink
from routed.audit.catalogue import Message
from routed.audit.printable import dump_json, escape_in_quotes, make_lines_printable, make_printable
from routed.audit.records import Record, make_record
from routed.audit.sinks import write_json_to, write_text_to

MOMENT = datetime(2026, 11, 21, 12, 0, 0, 250000, UTC)
names = st.binary(max_size=15).map(os.fsdecode) | st.text(st.characters(), max_size=15)  # surrogates among them
WORDS = {"subject": "a\udcff\x1b", "files": "\udcff\u202e"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\xff\xfeab", r"\xff\xfeab"),
        ("a\u202eb".encode(), r"a\u202eb"),
        (b"\x1b[31m", r"\x1b[31m"),
        ("Grüße →".encode(), "Grüße →"),
        (b"eth\xc3", r"eth\xc3"),
    ],
)
def test_a_name_is_shown_by_its_bytes_where_it_is_no_text(raw: bytes, shown: str) -> None:
    assert make_printable(os.fsdecode(raw)) == shown


@given(names)
def test_what_is_printable_can_be_encoded_and_stays_as_it_is(name: str) -> None:
    shown = make_printable(name)
    shown.encode()
    assert make_printable(shown) == shown
    assert all(ord(character) >= 32 and character != "\x7f" for character in shown)
    assert "\n".join(map(make_printable, name.split("\n"))) == make_lines_printable(name).replace("\t", r"\x09")


@given(names)
def test_json_says_everything_but_what_is_no_text_as_it_is(name: str) -> None:
    written = dump_json({name: [name]})
    assert make_printable(written) == written
    read = name if all(not 0xD800 <= ord(c) < 0xE000 for c in name) else None
    document = json.loads(written.encode())
    assert read is None or document == {read: [read]}
    json.dumps(document, ensure_ascii=False).encode()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), max_size=15))
def test_toml_with_escapes_says_the_same(name: str) -> None:
    quoted = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\' else c for c in name)
    assert tomllib.loads(escape_in_quotes(f'dev = "{quoted}"')) == {"dev": name}


def test_a_record_holds_nothing_that_cannot_be_printed_and_its_reasons_may_have_several_lines() -> None:
    record = make_record(Message.FILES_CHANGED, WORDS, {"ROUTED_REASON": "a\udcff\n\tb\x1b"})
    assert r"\xff\u202e" in record.message
    assert record.fields["ROUTED_REASON"] == "a\\xff\n\tb\\x1b"


@given(st.text(st.characters(), max_size=9), st.dictionaries(st.sampled_from(["ROUTED_REASON", "INTERFACE"]), names))
def test_no_sink_raises_whatever_a_record_holds(message: str, fields: dict[str, str]) -> None:
    record = Record(message, 5, {"MESSAGE_ID": "0" * 32} | fields)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    write_text_to(stream, lambda: MOMENT)(record)
    write_json_to(stream, lambda: MOMENT)(record)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_sink, "sendv", lambda *_fields: None)
        journal_sink.write_to_journal(record)
