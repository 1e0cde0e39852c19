r"""The picture in the language of Graphviz' dot (https://graphviz.org/doc/info/lang.html).

Pure: a document in, text out. Every text stands in double quotes, where a backslash begins an escape (escString) and an
ampersand an entity; names of nodes are ours, so nothing from outside stands anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from routed.audit.graph import label_node
from routed.audit.printable import make_printable
from routed.cli.graph.looks import choose_look
from routed.model.graph_document import GraphDocument, NodeDocument

# What a character is written as within quotes. Graphviz reads entities of HTML in every label.
ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;", "<": "&lt;", ">": "&gt;"})
FIRST: Final = "rule"  # the kind whose order is that in which packets meet them
LAST: Final = "link"
SHAPES: Final = {"table": "cylinder", LAST: "box3d"}
HEAD: Final = (
    'rankdir="LR"', 'ranksep="0.6"', 'nodesep="0.15"', 'fontname="Helvetica"', 'fontsize="11"', 'labelloc="t"',
    'labeljust="l"', 'bgcolor="white"',
)  # fmt: skip


def write_dot(document: GraphDocument) -> str:
    """The whole text."""
    lines = ["digraph routed {", f"  graph [{' '.join(HEAD)} label={_quote(document['notes'])}]"]
    lines.append('  node [shape="box" style="rounded,filled" fontname="Helvetica" fontsize="10" margin="0.1,0.05"]')
    lines.append('  edge [color="#57606a" arrowsize="0.6"]')
    lines += [f"  {line}" for line in _write_nodes(document["nodes"])]
    lines += [f"  {edge['tail']} -> {edge['head']}" for edge in document["edges"]]
    lines += [f"  {line}" for line in _line_up(document["nodes"])]
    return "\n".join([*lines, "}"]) + "\n"


def _write_nodes(nodes: Iterable[NodeDocument]) -> Iterator[str]:
    for node in nodes:
        look = choose_look(node)
        more = [f'shape="{SHAPES[node["kind"]]}" style="filled"'] if node["kind"] in SHAPES else []
        more += ['style="rounded,filled,dashed"'] if look.is_dashed and node["kind"] not in SHAPES else []
        colors = f'fillcolor="{look.fill}" color="{look.line}" fontcolor="{look.text}"'
        yield f"{node['node']} [{' '.join([f'label={_quote(label_node(node))}', colors, *more])}]"


def _line_up(nodes: Iterable[NodeDocument]) -> Iterator[str]:
    """Rules one below the other in their order, and links at the end."""
    by_kind = {kind: [node["node"] for node in nodes if node["kind"] == kind] for kind in (FIRST, LAST)}
    if len(by_kind[FIRST]) > 1:
        yield f'{{ rank="same" edge [style="invis"] {" -> ".join(by_kind[FIRST])} }}'
    if by_kind[LAST]:
        yield f'{{ rank="max" {" ".join(by_kind[LAST])} }}'


def _quote(lines: Iterable[str]) -> str:
    r"""Lines of text, each flush left: \l ends it."""
    return '"' + "".join(make_printable(line).translate(ESCAPES) + "\\l" for line in lines) + '"'
