"""A picture as a value: nodes and edges, without a word about them.

What they are made from is ``core.graph``'s, how they are worded ``audit.graph``'s.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from routed.model.objects import Key, Value
from routed.model.reasons import Reason

TABLE: Final = "table"
# States of a link, and of a rule that the kernel makes itself.
UP: Final = "up"
DOWN: Final = "down"
NO_CARRIER: Final = "no carrier"
ABSENT: Final = "absent"
MISSING: Final = "missing"


class Example(NamedTuple):
    """One object that a node names; its content where that is known."""

    key: Key
    value: Value | None


class Node(NamedTuple):
    """A table, a link, or objects that stand alike."""

    kind: str  # of its objects, or TABLE
    state: str = ""  # of status; of a link UP and so on; empty where nobody says anything of it
    reason: Reason | None = None
    entries: tuple[str, ...] = ()  # whose objects they are; none of what the kernel made, or what is left over
    total: int = 0  # objects
    shown: tuple[Example, ...] = ()  # some of them
    table: int = 0
    link: str = ""
    is_kernels: bool = False


class Edge(NamedTuple):
    """Packets go on from one node to another; both are places among the nodes."""

    tail: int
    head: int


class Graph(NamedTuple):
    """The whole picture. Nodes stand in the order of their kinds, and there in that of the kernel or of the files."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
