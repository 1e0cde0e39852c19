from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from routed.audit import notices, records, repeat
from routed.audit.catalogue import CATALOGUE, Message
from routed.audit.sinks import PRIORITY_NAMES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/messages.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_kind_of_message_has_a_row() -> None:
    assert set(CATALOGUE) == set(Message)


def test_ids_are_128_random_bits_and_never_shared() -> None:
    ids = [row.message_id for row in CATALOGUE.values()]
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", one) for one in ids)
    assert len(set(ids)) == len(ids)


def test_the_page_of_messages_has_a_section_for_every_kind_and_no_other() -> None:
    assert list(SECTIONS) == [message.value for message in Message]


@pytest.mark.parametrize("message", Message)
def test_a_section_has_sentence_id_priority_meaning_and_advice(message: Message) -> None:
    row, section = CATALOGUE[message], SECTIONS[message.value]
    assert f"`{row.sentence}`" in section
    assert f"`MESSAGE_ID={row.message_id}`, priority {PRIORITY_NAMES[row.priority]}" in section
    assert ("said once" in section) is row.is_state
    assert re.search(r"^\* Meaning: \w.*\.$", section, re.MULTILINE | re.DOTALL)
    assert "* What to do: " in section


def test_the_page_of_messages_lists_every_field_that_is_written() -> None:
    sources = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in (notices, records, repeat))
    written = set(re.findall(r'"(ROUTED_[A-Z]+(?:_[A-Z]+)*|INTERFACE|MESSAGE_ID)"', sources)) | {"ROUTED_ACTOR_PID"}
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    assert listed == written


@pytest.mark.parametrize("message", Message)
def test_a_sentence_is_one_line_of_plain_fields(message: Message) -> None:
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(CATALOGUE[message].sentence) if name is not None]
    assert all(name.isidentifier() and not spec for name, spec in fields)
    assert CATALOGUE[message].sentence.isprintable()
