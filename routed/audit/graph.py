"""Words of the picture: a graph as its document, and what is written on a node.

Pure. Which language the picture is written in is ``cli.graph``'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import Any, Final

from routed.audit.printable import make_printable
from routed.audit.reasons import describe_reason
from routed.model import names
from routed.model.graph import TABLE, Example, Graph, Node
from routed.model.graph_document import EdgeDocument, GraphDocument, NodeDocument
from routed.model.text import Vocabulary, format_key, to_json

WIDTH: Final = 48  # columns of a line on a node
LONGEST: Final = 4  # lines of one text on a node
UNICAST: Final = names.ROUTE_TYPES[names.UNICAST]  # the type of a route that ``ip`` does not print
# What is said of no node: nothing is wrong, and nobody asked.
QUIET: Final = frozenset({"", "in-sync", "up"})


def make_graph_document(graph: Graph, vocabulary: Vocabulary, source: str, notes: Iterable[str] = ()) -> GraphDocument:
    """The graph in words. ``notes`` are sentences that stand in the picture."""
    return GraphDocument(
        schema="routed.graph/1",
        source=source,
        notes=list(notes),
        nodes=[_make_node(place, node, vocabulary) for place, node in enumerate(graph.nodes)],
        edges=[EdgeDocument(tail=_name(edge.tail), head=_name(edge.head)) for edge in graph.edges],
    )


def label_node(node: NodeDocument) -> list[str]:
    """The lines that stand on a node, printable: what it is, some of its objects, and what is wrong with it."""
    lines = _wrap(_name_node(node))
    lines += [line for text in node["objects"] for line in _wrap(text)]
    if node["objects"] and (more := node["total"] - len(node["objects"])) > 0:
        lines.append(f"and {more} more")
    if node["state"] not in QUIET:
        lines += _wrap(f"{node['state']}: {node['reason']}" if node["reason"] else node["state"])
    return lines


def _name(place: int) -> str:
    return f"n{place + 1}"


def _make_node(place: int, node: Node, vocabulary: Vocabulary) -> NodeDocument:
    owner = "kernel" if node.is_kernels else "file" if node.entries else "nobody" if node.total else ""
    few = len(node.shown) == node.total or len(node.entries) > 1
    return NodeDocument(
        node=_name(place),
        kind=node.kind,
        name=vocabulary.table(node.table) if node.kind == TABLE else node.link,
        entries=list(node.entries),
        objects=[_describe(one, vocabulary) for one in (node.shown if few else node.shown[:1])],
        total=node.total,
        state=node.state,
        reason=describe_reason(node.reason),
        owner=owner,
    )


def _describe(shown: Example, vocabulary: Vocabulary) -> str:
    """An object by its key, and of a route its type and its gateways: where it goes on is an edge."""
    text, json = format_key(shown.key, vocabulary), to_json(shown.key, shown.value, vocabulary)
    gateways = [gateway for hop in (json, *json.get("nexthops", ())) if (gateway := _find_gateway(hop))]
    kind = [word] if (word := json.get("type", UNICAST)) != UNICAST else []
    return " ".join([*kind, text, *(f"via {gateway}" for gateway in gateways)])


def _find_gateway(hop: dict[str, Any]) -> str:
    other = hop.get("via")  # of the other family
    return str(hop.get("gateway") or (other["host"] if isinstance(other, dict) else ""))


def _name_node(node: NodeDocument) -> str:
    if node["name"]:
        entries = f" ({', '.join(node['entries'])})" if node["entries"] else ""
        return f"{node['kind']} {node['name']}{entries}" if node["kind"] == TABLE else f"{node['name']}{entries}"
    if not node["entries"]:
        return "the kernel's own" if node["owner"] == "kernel" else f"{node['kind']} left over"
    first, count = node["entries"][0], len(node["entries"])
    return first if count == 1 else f"{count} entries: {first} … {node['entries'][-1]}"


def _wrap(text: str) -> list[str]:
    lines = wrap(make_printable(text), WIDTH) or [""]
    return lines if len(lines) <= LONGEST else [*lines[: LONGEST - 1], f"{lines[LONGEST - 1][: WIDTH - 2]} …"]
