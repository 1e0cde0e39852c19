"""Files of sections and ``key=value``, as systemd and NetworkManager write them: sections and keys may come again.

Sources: systemd.syntax(7); nm-settings-keyfile(5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class IniLine(NamedTuple):
    """One line."""

    key: str
    value: str
    line: int  # from 1


@dataclass(slots=True)
class Section:
    """One section with its lines."""

    name: str
    line: int
    settings: list[IniLine] = field(default_factory=list)

    def get(self, key: str) -> str:
        """The last value of a key, empty where there is none."""
        return next((one.value for one in reversed(self.settings) if one.key == key), "")

    def get_all(self, key: str) -> list[IniLine]:
        """All values of a key since it was last emptied."""
        found: list[IniLine] = []
        for one in self.settings:
            if one.key == key:
                found = [*found, one] if one.value else []
        return found


def read_sections(text: str) -> tuple[list[Section], list[int]]:
    """The sections in their order, and the lines that belong to none."""
    sections: list[Section] = []
    strays: list[int] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for at, raw in lines:
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        while line.endswith("\\"):
            _, more = next(lines, (0, ""))
            line = f"{line[:-1].rstrip()} {more.strip()}".rstrip()
        if line.startswith("[") and line.endswith("]"):
            sections.append(Section(line[1:-1], at))
        elif sections and "=" in line:
            key, _, value = line.partition("=")
            sections[-1].settings.append(IniLine(key.strip(), value.strip(), at))
        else:
            strays.append(at)
    return sections, strays
