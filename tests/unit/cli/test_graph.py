"""The languages of the picture: each text says what the document says, whatever stands in it.

That of dot is judged by dot itself. What Mermaid takes is written down here, as its grammar has it.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from routed.audit.graph import label_node
from routed.audit.printable import make_printable
from routed.cli.exits import Exit
from routed.cli.graph.dot import write_dot
from routed.cli.graph.looks import EVERY
from routed.cli.graph.mermaid import write_mermaid
from routed.cli.graph.svg import draw_svg
from routed.model.graph_document import GraphDocument, NodeDocument

HOSTILE = [
    'quo"te', "back\\slash\\", "\\N\\G\\L\\l\\n", "<b>bold</b>", "&amp; &lt; & &#38;", "a;b{c}[d]|e", "%% comment",
    "end", "1. list", "`code` **bold**", "#35; #quot;", "style:#x;", "classDef a:#b;", "new\nline\r\x00\x1b[2J",
    "\udcff", "\u202eright to left", "日本語 é €", "\U0001f600", "<script>alert(1)</script>", "-->", "]]>", "'", "\\",
    "click n1 callback", ":::bad", "x" * 5000, "$(reboot)", "</svg>", "&#x1b;", '(")', '\\"',
]  # fmt: skip


def a_node(number: int, text: str, kind: str = "route", state: str = "in-sync", **more: Any) -> NodeDocument:
    node: Any = {
        "node": f"n{number}", "kind": kind, "name": "", "entries": [text], "objects": [text], "total": 1,
        "state": state, "reason": text, "owner": "file", **more,
    }  # fmt: skip
    return node  # type: ignore[no-any-return]


def a_document(nodes: list[NodeDocument], notes: list[str] | None = None) -> GraphDocument:
    edges: Any = [{"tail": one["node"], "head": two["node"]} for one, two in pairwise(nodes)]
    return {"schema": "routed.graph/1", "source": "daemon", "notes": notes or [], "nodes": nodes, "edges": edges}


def hostile_document() -> GraphDocument:
    nodes = [a_node(2 * at + 1, text, state="failed") for at, text in enumerate(HOSTILE)]
    links = [a_node(2 * at + 2, "", "link", name=text, entries=[], objects=[]) for at, text in enumerate(HOSTILE)]
    return a_document([*nodes, *links], HOSTILE[:-6])


def spread(document: GraphDocument) -> list[str]:
    """Every line that has to stand in the picture, without what no drawing keeps."""
    lines = [line for node in document["nodes"] for line in label_node(node)]
    return sorted(" ".join(line.split()) for line in [*map(make_printable, document["notes"]), *lines])


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  made by the test itself


def read_svg(svg: str) -> list[str]:
    """Every text of the picture; that it is XML is proved by reading it."""
    root = parse(svg)
    texts = ("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))
    return sorted(" ".join(text.split()) for text in texts)


STATEMENTS = re.compile(
    r"""flowchart\ LR
    | \ \ \w+ (?: \["(?P<box>[^"]*)"\] | \[\("(?P<table>[^"]*)"\)\] | \(\["(?P<link>[^"]*)"\]\) ) :::(?P<class>\w+)
    | \ \ \w+\ -->\ \w+
    | \ \ classDef\ (?P<defines>\w+)\ fill:\#\w{6},stroke:\#\w{6},color:\#\w{6}(?:,stroke-dasharray:4\ 3)?
    """,
    re.VERBOSE,
)
PLAIN = re.compile(r"(?:[A-Za-z0-9 ,./()-]|#\d+;)*")


def read_mermaid(text: str) -> list[str]:
    """Every line of a label. Fails where a line is no statement, or a label has what Mermaid gives a meaning."""
    lines = []
    for line in text.splitlines():
        found = STATEMENTS.fullmatch(line)
        assert found, line
        assert not found["class"] or found["class"] in EVERY
        label = found["box"] or found["table"] or found["link"] or ""
        for part in label.split("<br/>") if label else ():
            assert PLAIN.fullmatch(part), part
            lines.append(re.sub(r"#(\d+);", lambda code: chr(int(code[1])), part))
    return sorted(" ".join(line.split()) for line in lines)


def test_dot_draws_every_text_as_it_is_whatever_stands_in_it() -> None:
    document = hostile_document()
    assert read_svg(draw_svg(document)) == [line for line in spread(document) if line]


def test_nothing_from_outside_stands_in_the_svg_but_as_text() -> None:
    document = hostile_document()
    root = parse(draw_svg(document))
    names = {element.tag.partition("}")[2] for element in root.iter()}
    assert names == {"svg", "g", "title", "path", "polygon", "polyline", "text"}
    assert {text for title in root.iter("{http://www.w3.org/2000/svg}title") if (text := title.text)} <= {
        "routed", *(node["node"] for node in document["nodes"]), *(f"n{at}->n{at + 1}" for at in range(100)),
        *(f"{edge['tail']}->{edge['head']}" for edge in document["edges"]),
    }  # fmt: skip


def test_mermaid_has_every_text_as_it_is_whatever_stands_in_it() -> None:
    document = hostile_document()
    assert read_mermaid(write_mermaid(document)) == [line for line in spread(document) if line]


def test_no_line_of_mermaid_holds_what_it_strips_before_it_reads() -> None:
    """It takes the last semicolon from ``style…:…#…;`` and ``classDef…:…#…;`` wherever that stands (utils.ts)."""
    for line in write_mermaid(hostile_document()).splitlines():
        assert not re.search(r"style.*:\S*#.*;|classDef.*:\S*#.*;", line), line


def test_a_node_has_few_lines_and_none_is_long() -> None:
    for node in hostile_document()["nodes"]:
        lines = label_node(node)
        assert len(lines) <= 12
        assert all(len(line) <= 50 for line in lines)


def test_colours_differ_by_state_and_the_words_say_it_too() -> None:
    good, bad = a_node(1, "a"), a_node(2, "b", state="failed")
    lines = write_mermaid(a_document([good, bad])).splitlines()
    assert lines[1].endswith(":::good")
    assert lines[2] == '  n2["b<br/>b<br/>failed#58; b"]:::bad'
    unheard = a_node(3, "c", state="of a newer version")
    assert write_mermaid(a_document([unheard])).splitlines()[1].endswith(":::bad")


def test_a_folded_node_says_how_many_there_are() -> None:
    node = a_node(
        1, "route/a", objects=["10.0.0.0/24", "10.0.1.0/24"], entries=["route/a", "route/b", "route/c"], total=9
    )
    assert label_node(node) == ["3 entries: route/a … route/c", "10.0.0.0/24", "10.0.1.0/24", "and 7 more"]


def test_rules_stand_one_below_the_other_in_their_order() -> None:
    document = a_document(
        [a_node(at, f"rule/{at}", "rule") for at in range(1, 6)] + [a_node(9, "t", "table", name="t")]
    )
    document["edges"] = [{"tail": f"n{at}", "head": "n9"} for at in (5, 3, 1, 2, 4)]
    root = parse(draw_svg(document))
    spots = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        title, text = group.find("{*}title"), group.find("{*}text")
        if title is not None and text is not None:
            spots[title.text] = float(text.attrib["y"])
    assert sorted(("n1", "n2", "n3", "n4", "n5"), key=lambda name: spots[name]) == ["n1", "n2", "n3", "n4", "n5"]


def test_the_same_document_gives_the_same_text() -> None:
    document = hostile_document()
    assert (write_dot(document), write_mermaid(document)) == (write_dot(document), write_mermaid(document))
    assert draw_svg(document) == draw_svg(document)


@pytest.mark.parametrize("size", [0, 1, 20, 500])
def test_dots_own_parser_takes_every_size(size: int) -> None:
    document = a_document([a_node(at, f"route/r{at}") for at in range(1, size + 1)])
    done = subprocess.run(["dot", "-Tcanon"], input=write_dot(document), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("->") == max(0, size - 1)


def serving(routed: Any, serve: Any, replying: Any, tmp_path: Path, *words: str, **environment: str) -> Any:
    config = tmp_path / "routed.toml"
    config.write_text("version = 1\n")
    serve(replying({**a_document([a_node(1, "route/a")]), "config": str(config)}))
    return routed("--config", str(config), "graph", *words, **environment)


def test_without_graphviz_the_svg_says_how_to_get_it(routed: Any, serve: Any, replying: Any, tmp_path: Path) -> None:
    done = serving(routed, serve, replying, tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert done.stderr == (
        "routed: Graphviz' program dot draws the SVG, and is not installed: apt-get install graphviz,"
        " or have the text with --format dot or --format mermaid\n"
    )


def test_a_dot_that_fails_is_told_with_its_own_words(routed: Any, serve: Any, replying: Any, tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho 'no such \x1b[2Jlayout' >&2\nexit 7\n")
    program.chmod(0o755)
    done = serving(routed, serve, replying, tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (Exit.FAILED, "routed: dot ended with 7: no such \\x1b[2Jlayout\n")


@pytest.mark.parametrize("words", [("--format", "dot"), ("--format", "mermaid"), ("--json",)])
def test_text_needs_no_program(routed: Any, serve: Any, replying: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = serving(routed, serve, replying, tmp_path, *words, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert "route/a" in html.unescape(done.stdout)


def test_json_is_the_document(routed: Any, serve: Any, replying: Any, tmp_path: Path) -> None:
    done = serving(routed, serve, replying, tmp_path, "--json")
    assert json.loads(done.stdout) == a_document([a_node(1, "route/a")])


def test_quiet_prints_nothing(routed: Any, serve: Any, replying: Any, tmp_path: Path) -> None:
    assert serving(routed, serve, replying, tmp_path, "-q").stdout == ""


def test_the_daemon_is_asked_to_fold_unless_told_otherwise(
    routed: Any, serve: Any, replying: Any, tmp_path: Path
) -> None:
    calls = serve(replying({**a_document([]), "config": "/etc/routed.toml"}))
    routed("graph", "--format", "dot")
    routed("-v", "graph", "--format", "dot")
    assert [call["parameters"] for call in calls] == [{"folded": True}, {"folded": False}]


def test_invalid_files_are_told_and_nothing_is_drawn(routed: Any, tmp_path: Path) -> None:
    config = tmp_path / "routed.toml"
    config.write_text("version = 9\n")
    done = routed("--config", str(config), "graph")
    assert (done.returncode, done.stdout) == (Exit.INVALID, "")
    assert "routed.toml:1" in done.stderr
