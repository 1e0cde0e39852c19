"""Prints the message catalogue for ``journalctl -x``, made of docs/reference/messages.md: the page is the one source.

    python3 contrib/systemd/make_catalog.py > routed.catalog

Only the step from the page to the catalogue belongs here, with the standard library alone, so that a package can be
built without routed's own dependencies. The form is that of journalctl's CATALOG.md: a line ``-- MESSAGE_ID``, headers,
an empty line, text.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[2] / "docs/reference/messages.md"
HEADERS: Final = ("Defined-By: routed", "Documentation: man:routed-messages(7)")
WIDTH: Final = 72  # journalctl puts a mark of three columns in front

_SECTION: Final = re.compile(r"^### (\S+)\n(.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)
_BULLET: Final = re.compile(r"^\* ([^:\n]+): (.*?)(?=^\* |\Z)", re.MULTILINE | re.DOTALL)
_MESSAGE_ID: Final = re.compile(r"MESSAGE_ID=([0-9a-f]{32})")
_FIRST_SENTENCE: Final = re.compile(r"(.*?)\.(?: |$)(.*)")


class Section(NamedTuple):
    """What the page tells of one kind of message."""

    name: str
    message_id: str
    happened: str
    did: str
    to_do: str


def read_sections(page: str) -> Iterator[Section]:
    """The kinds of message, in the order of the page. Raises ValueError, which names what a section lacks."""
    for name, section in _SECTION.findall(page):
        found = _MESSAGE_ID.search(section)
        if not found:
            raise ValueError(f"{name} has no MESSAGE_ID")
        bullets = {title: _make_plain(text) for title, text in _BULLET.findall(section)}
        try:
            parts = [bullets[title] for title in ("What happened", "What routed did", "What to do")]
        except KeyError as error:
            raise ValueError(f"{name} does not say {error}") from None
        yield Section(name, found[1], *parts)


def format_section(section: Section) -> str:
    """One entry of the catalogue."""
    sentence = _FIRST_SENTENCE.match(section.happened)
    subject, more = sentence.groups() if sentence else (section.happened, "")
    parts = (more, f"What routed did: {section.did}", f"What to do: {section.to_do}")
    text = "\n\n".join(textwrap.fill(part, WIDTH, break_long_words=False) for part in parts if part)
    return "\n".join((f"-- {section.message_id}", f"Subject: {subject}", *HEADERS, "", text))


def make_catalog(page: str) -> str:
    """The whole catalogue. Raises ValueError where the page lacks something."""
    return "\n\n".join(format_section(section) for section in read_sections(page)) + "\n"


def _make_plain(markdown: str) -> str:
    """A paragraph on one line, without the marks of code and with the text of links alone."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(markdown.split())).replace("`", "")


if __name__ == "__main__":
    sys.stdout.write(make_catalog(PAGE.read_text(encoding="utf-8")))
