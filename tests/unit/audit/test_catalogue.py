from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest

from routed.audit import actors, flood, notices, records, repeat
from routed.audit.catalogue import CATALOGUE, Message
from routed.audit.sinks import PRIORITY_NAMES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/messages.md").read_text(encoding="utf-8")
MAKE_CATALOG = ROOT / "contrib/systemd/make_catalog.py"
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
    assert re.findall(r"^\* (What [^:]+): \S.*", section, re.MULTILINE) == [
        "What happened",
        "What routed did",
        "What to do",
    ]


def test_the_page_of_messages_lists_every_field_that_is_written() -> None:
    sources = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8") for module in (actors, flood, notices, records, repeat)
    )
    written = set(re.findall(r'"(ROUTED_[A-Z]+(?:_[A-Z]+)*|INTERFACE|MESSAGE_ID)"', sources)) - {"ROUTED_ACTOR_"}
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    assert listed == written


@pytest.mark.parametrize("message", Message)
def test_a_sentence_is_one_line_of_plain_fields(message: Message) -> None:
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(CATALOGUE[message].sentence) if name is not None]
    assert all(name.isidentifier() and not spec for name, spec in fields)
    assert CATALOGUE[message].sentence.isprintable()


@pytest.fixture(scope="module")
def journal_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose catalogue of messages was made by journalctl from ours."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (root / "var/lib/systemd/catalog").mkdir(parents=True)
    text = subprocess.run([sys.executable, MAKE_CATALOG], capture_output=True, check=True).stdout
    (folder / "routed.catalog").write_bytes(text)
    subprocess.run(["journalctl", f"--root={root}", "--update-catalog"], check=True)
    return root


@pytest.mark.parametrize("message", Message)
def test_journalctl_explains_every_message(journal_catalog: Path, message: Message) -> None:
    command = ["journalctl", f"--root={journal_catalog}", "--dump-catalog", CATALOGUE[message].message_id]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    subject = re.findall(r"^Subject: (.*)$", said, re.MULTILINE)
    assert [len(line) <= 120 for line in subject] == [True]
    assert "Defined-By: routed" in said
    assert "What routed did: " in said
    assert "What to do: " in said


def test_a_section_that_lacks_something_makes_no_catalogue(tmp_path: Path) -> None:
    copy = tmp_path / "contrib/systemd/make_catalog.py"
    page = tmp_path / "docs/reference/messages.md"
    for path, text in ((copy, MAKE_CATALOG.read_text()), (page, PAGE.replace("* What to do", "* Advice", 1))):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    done = subprocess.run([sys.executable, copy], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "repaired does not say 'What to do'" in done.stderr
