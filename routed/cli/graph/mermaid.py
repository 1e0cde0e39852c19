"""The picture in the language of Mermaid's flowcharts (https://mermaid.js.org/syntax/flowchart.html).

Pure: a document in, text out. Every text stands in double quotes, and whatever is no plain letter, digit or mark is an
entity code there (``#35;``): Mermaid has HTML and Markdown in its labels, and ends statements at a semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from routed.audit.graph import label_node
from routed.audit.printable import make_printable
from routed.cli.graph.looks import EVERY, choose_look
from routed.model.graph_document import GraphDocument, NodeDocument

SPECIAL: Final = re.compile(r"[^A-Za-z0-9 ,./()-]")
SHAPES: Final = {"table": ('[("', '")]'), "link": ('(["', '"])')}
BOX: Final = ('["', '"]')


def write_mermaid(document: GraphDocument) -> str:
    """The whole text."""
    lines = ["flowchart LR"]
    lines += [f"  notes{BOX[0]}{_write_lines(document['notes'])}{BOX[1]}:::plain"] if document["notes"] else []
    lines += [f"  {line}" for line in _write_nodes(document["nodes"])]
    lines += [f"  {edge['tail']} --> {edge['head']}" for edge in document["edges"]]
    for look in EVERY.values():
        dashes = ",stroke-dasharray:4 3" if look.is_dashed else ""
        lines.append(f"  classDef {look.name} fill:{look.fill},stroke:{look.line},color:{look.text}{dashes}")
    return "\n".join(lines) + "\n"


def _write_nodes(nodes: Iterable[NodeDocument]) -> Iterator[str]:
    for node in nodes:
        opening, closing = SHAPES.get(node["kind"], BOX)
        yield f"{node['node']}{opening}{_write_lines(label_node(node))}{closing}:::{choose_look(node).name}"


def _write_lines(lines: Iterable[str]) -> str:
    return "<br/>".join(SPECIAL.sub(lambda found: f"#{ord(found[0])};", make_printable(line)) for line in lines)
