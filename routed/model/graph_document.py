"""The JSON document of ``routed graph``: what is wanted and how it stands, as nodes and edges."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class NodeDocument(TypedDict):
    """A table, a link, or objects that stand alike."""

    node: str  # n1 …
    kind: str  # table, link, or what its objects are: rule, route, address, service, server …
    name: str  # of a table or a link; empty where entries name it
    entries: list[str]  # whose objects they are; none of what is the kernel's, or left over
    objects: list[str]  # some of them, as ``ip`` writes their keys
    total: int  # how many objects there are
    state: str  # as status has it; of a link: up, down, no carrier, absent; of a rule of the kernel: missing, or empty
    reason: str
    owner: str  # "file", "kernel", "nobody" for what is left over; empty of tables and links


class EdgeDocument(TypedDict):
    """Packets go on from one node to another."""

    tail: str
    head: str


class GraphDocument(TypedDict):
    """What ``routed graph --json`` prints."""

    schema: str  # routed.graph/1
    source: (
        str  # "daemon": what is in force, as it keeps it; "plan": what the files want, and the kernel as plan reads it
    )
    notes: list[str]  # sentences that stand in the picture
    nodes: list[NodeDocument]  # in their order
    edges: list[EdgeDocument]
    config: NotRequired[str]  # the main file that the daemon read; only in its answer
