"""How a node looks, in every language alike. Colours only repeat what the words on it say."""

from __future__ import annotations

from typing import Final, NamedTuple

from routed.model.graph_document import NodeDocument


class Style(NamedTuple):
    """Colours as #rrggbb."""

    name: str  # for a style sheet
    fill: str
    line: str
    text: str = "#1f2328"
    is_dashed: bool = False


PLAIN: Final = Style("plain", "#f6f8fa", "#57606a")
GOOD: Final = Style("good", "#dafbe1", "#1a7f37")
IDLE: Final = Style("idle", "#ddf4ff", "#0969da", is_dashed=True)  # by the word of the operator, or of the files
LATE: Final = Style("late", "#fff8c5", "#9a6700", is_dashed=True)  # on its way
BAD: Final = Style("bad", "#ffebe9", "#cf222e")
LOOKS: Final = {
    "": PLAIN,
    "up": PLAIN,
    "in-sync": GOOD,
    "paused": IDLE,
    "withheld": IDLE,
    "draining": IDLE,
    "waiting": LATE,
    "absent": LATE,
    "drift": LATE._replace(is_dashed=False),
}
EVERY: Final = {look.name: look for look in (PLAIN, GOOD, IDLE, LATE, BAD)}


def choose_look(node: NodeDocument) -> Style:
    """By its state; what a daemon of a newer version may say is as bad as it gets."""
    return LOOKS.get(node["state"], BAD)
