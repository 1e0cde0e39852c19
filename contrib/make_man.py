"""Prints a page of docs/reference as the Markdown that go-md2man makes a manual page of: the page is the one source.

    python3 contrib/make_man.py routed.toml.5 1.2.3 2026-01-31 | go-md2man > routed.toml.5

Only what a manual page has and a page of the web has not belongs here: its name, its synopsis, what else to see; and
lists in the place of tables, which no terminal is wide enough for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

REFERENCE: Final = Path(__file__).parents[1] / "docs/reference"


class Page(NamedTuple):
    """A manual page: where its text stands, and what the text does not say."""

    source: str
    purpose: str  # what whatis(1) shows
    synopsis: str
    see_also: str


PAGES: Final = {
    "routed.8": Page(
        "commands.md",
        "keep routes, policy rules and VIPs as their operator wrote them",
        "**routed** [*option*...] *command* [*argument*...]",
        "**routed.toml**(5), **routed-messages**(7), **ip**(8), **systemctl**(1), **journalctl**(1)",
    ),
    "routed.toml.5": Page(
        "routed.toml.md",
        "the routes, policy rules and VIPs that a host must have",
        "`/etc/routed.toml`, `/etc/routed.toml.d/*.toml`",
        "**routed**(8), **routed-messages**(7), **ip-route**(8), **ip-rule**(8), **ip-address**(8)",
    ),
    "routed-messages.7": Page(
        "messages.md",
        "what routed writes to the journal",
        "**journalctl -t routed** [**-x**] [**ROUTED_ENTRY=***entry*]",
        "**routed**(8), **routed.toml**(5), **journalctl**(1)",
    ),
}
_BY_SOURCE: Final = {page.source: title for title, page in PAGES.items()}

_FENCE: Final = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_TABLE: Final = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_CELL: Final = re.compile(r"(?<!\\)\|")
_LINK: Final = re.compile(r"\[([^]]+)\]\(([^)#]*)(?:#[^)]*)?\)")


def make_page(title: str, text: str, version: str, date: str) -> str:
    """The whole page, in the Markdown of go-md2man. ``title`` is a key of PAGES."""
    page = PAGES[title]
    name, _, section = title.rpartition(".")
    _, _, body = text.partition("\n")  # its title is in the head
    parts = (
        f'% "{name.upper()}" "{section}" "{date}" "routed {version}" "routed"',
        f"# NAME\n{name} - {page.purpose}",
        f"# SYNOPSIS\n{page.synopsis}",
        f"# DESCRIPTION\n{convert(body).strip()}",
        f"# SEE ALSO\n{page.see_also}",
    )
    return "\n\n".join(parts) + "\n"


def convert(markdown: str) -> str:
    """The body of a page: sections one level up, tables as lists, links as their text. Code stays as it is."""
    return "".join(part if part.startswith("```") else _convert_prose(part) for part in _FENCE.split(markdown))


def _convert_prose(text: str) -> str:
    text = re.sub(r"^##", "#", text, flags=re.MULTILINE)
    text = _LINK.sub(_convert_link, text)
    return _TABLE.sub(lambda table: "\n" + "\n".join(_list_rows(table[0])) + "\n", text)


def _convert_link(link: re.Match[str]) -> str:
    text, target = link.groups()
    if target in _BY_SOURCE:
        name, _, section = _BY_SOURCE[target].rpartition(".")
        return f"**{name}**({section})"
    return f"{text} ({target})" if "://" in target else text


def _list_rows(table: str) -> Iterator[str]:
    """A table as a list: the first cell is the term, the last one tells of it, those between stand beside the term."""
    header, _, *rows = (
        [cell.strip().replace(r"\|", "|") for cell in _CELL.split(line.strip().strip("|"))]
        for line in table.splitlines()
    )
    for first, *between, last in rows:
        notes = [
            cell if title == "type" else f"{title} {cell}"
            for title, cell in zip(header[1:-1], between, strict=True)
            if cell
        ]
        beside = f" ({'; '.join(notes)})" if notes else ""
        yield f"{first}{beside}\n: {last}\n"


if __name__ == "__main__":
    _, wanted, version_, date_ = sys.argv
    sys.stdout.write(make_page(wanted, (REFERENCE / PAGES[wanted].source).read_text(encoding="utf-8"), version_, date_))
