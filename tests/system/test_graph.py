"""``routed graph`` on a real kernel, with the daemon and without: the picture is what ``ip`` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.kernel import netns
from tests.system import picture
from tests.system.callers import NOBODY, call_as, open_folder
from tests.system.daemon import Daemon

SVG = "{http://www.w3.org/2000/svg}"
FILE = """
[[table]]
name = "storage"
id = 120
[[rule]]
name = "from-storage"
priority = 1200
from = "10.20.0.0/21"
table = "storage"
[[route]]
name = "storage-lan"
to = "10.30.0.0/16"
via = "10.0.0.2"
dev = "v0"
table = "storage"
[[route]]
name = "seen"
to = "10.40.0.0/16"
dev = "v1"
enforce = "observe"
[[route]]
name = "dropped"
to = "10.50.0.0/16"
type = "blackhole"
[[route]]
name = "later"
to = "10.60.0.0/16"
dev = "v9"
"""

Json = dict[str, Any]


def picture_of(daemon: Daemon, *words: str) -> dict[str, Json]:
    """The nodes by what they are."""
    document = daemon.ask_json("graph", *words)
    nodes = {node["node"]: node for node in document["nodes"]}
    named = {node["name"] or "+".join(node["entries"]) or node["owner"]: node for node in nodes.values()}
    assert len(named) == len(nodes)
    names = {node["node"]: name for name, node in named.items()}
    for name, node in named.items():
        node["to"] = sorted(names[edge["head"]] for edge in document["edges"] if names[edge["tail"]] == name)
    return named


def states(nodes: dict[str, Json]) -> dict[str, str]:
    return {name: node["state"] for name, node in nodes.items()}


def test_the_picture_says_what_the_kernel_has_and_what_is_not_there(daemon: Daemon) -> None:
    daemon.start(FILE)
    nodes = picture_of(daemon)
    assert states(nodes) == {
        "rule/from-storage": "in-sync",
        "kernel": "",
        "storage": "",
        "main": "",
        "route/storage-lan": "in-sync",
        "route/seen": "drift",
        "route/dropped": "in-sync",
        "route/later": "waiting",
        "v0": "up",
        "v1": "up",
        "v9": "absent",
    }
    assert {name: node["to"] for name, node in nodes.items() if node["to"]} == {
        "rule/from-storage": ["storage"],
        "kernel": ["main"],
        "storage": ["route/storage-lan"],
        "main": ["route/dropped", "route/later", "route/seen"],
        "route/storage-lan": ["v0"],
        "route/seen": ["v1"],
        "route/later": ["v9"],
    }
    (shown,) = netns.ip_json("route show table 120")
    assert nodes["route/storage-lan"]["objects"] == [f"{shown['dst']} table storage via {shown['gateway']}"]
    assert nodes["route/dropped"]["objects"] == ["blackhole 10.50.0.0/16"]
    assert "v9" in nodes["route/later"]["reason"]


def test_a_link_that_goes_down_and_a_rule_of_the_kernel_that_goes_are_seen(daemon: Daemon) -> None:
    daemon.start(FILE, daemon='resync = "1s"')
    netns.ip("link set v0 down")
    netns.ip("rule del priority 32766")
    netns.wait_until(lambda: daemon.entry("route/storage-lan")["state"] == "waiting")
    daemon.wait_for_resync()
    found = states(picture_of(daemon))
    assert (found["v0"], found["route/storage-lan"], found["kernel"]) == ("down", "waiting", "missing")
    assert "rules are missing" in " ".join(daemon.ask_json("graph")["notes"])


def test_without_a_daemon_the_picture_is_of_the_files_against_the_kernel_and_says_so(daemon: Daemon) -> None:
    daemon.write(FILE)
    assert daemon.ask("apply", "--direct").code == 0
    netns.ip("route del 10.30.0.0/16 table 120")
    netns.ip("route replace 10.40.0.0/16 dev v0 proto 114")
    netns.ip("route add 10.99.0.0/16 dev v1 proto 114")
    nodes = picture_of(daemon)
    found = {name: (node["state"], node["reason"]) for name, node in nodes.items()}
    assert found["route/storage-lan"] == ("drift", "missing")
    assert found["route/seen"][0] == "drift"
    assert found["route/dropped"] == ("in-sync", "")
    assert found["route/later"][0] == "waiting"
    assert (nodes["nobody"]["objects"], nodes["nobody"]["state"], nodes["nobody"]["to"]) == (
        ["10.99.0.0/16"], "drift", ["v1"],
    )  # fmt: skip
    document = daemon.ask_json("graph")
    assert document["source"] == "plan"
    assert "routed does not keep it" in document["notes"][0]
    steps = {step["entry"] for step in daemon.ask_json("plan")["steps"]}
    assert steps == {"route/storage-lan", ""}


def test_a_picture_changes_nothing(daemon: Daemon) -> None:
    daemon.write(FILE)
    before = netns.ip_json("route show table all")
    assert daemon.ask("graph", "--format", "dot").code == 0
    assert netns.ip_json("route show table all") == before


def test_other_files_than_the_daemons_are_drawn_as_plan_sees_them(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start(FILE)
    other = tmp_path / "other.toml"
    other.write_text('version = 1\n[[route]]\nname = "new"\nto = "10.70.0.0/16"\ndev = "v0"\n')
    document = daemon.ask_json("graph", str(other))
    assert document["source"] == "plan"
    assert {"route/new": "drift"}.items() <= {"+".join(n["entries"]): n["state"] for n in document["nodes"]}.items()


def test_what_is_in_force_is_drawn_and_that_the_files_changed_is_said(daemon: Daemon) -> None:
    daemon.start(FILE)
    daemon.write(FILE.replace("storage-lan", "renamed"))
    netns.wait_until(lambda: daemon.status()["files"]["state"] != "in force")
    document = daemon.ask_json("graph")
    assert document["notes"] == [
        "as routed keeps it: revision 1, in force",
        "the files on disk are others, or invalid: they are not in force",
    ]
    assert "route/storage-lan" in json.dumps(document)


def test_anybody_may_see_the_picture_of_the_daemon(network: None) -> None:
    with open_folder() as folder:
        daemon = Daemon(folder)
        try:
            daemon.start(FILE)
            (reply,) = call_as(folder / "run/io.routed", NOBODY, [], "io.routed.GetGraph")
        finally:
            daemon.close()
    assert "route/storage-lan" in json.dumps(reply["parameters"]["document"]["nodes"])


def test_500_entries_make_a_picture_that_can_be_read(daemon: Daemon) -> None:
    routes = "".join(
        f'[[route]]\nname = "r{at}"\nto = "10.{100 + at // 250}.{at % 250}.0/24"\ndev = "v{at % 2}"\n'
        f"table = {100 + at % 4}\n"
        for at in range(500)
    )
    daemon.start(routes + '[[route]]\nname = "later"\nto = "10.60.0.0/16"\ndev = "v9"\n')
    document = daemon.ask_json("graph")
    assert sum(node["total"] for node in document["nodes"] if node["owner"] == "file") == 501
    assert len(document["nodes"]) <= 20
    assert len(daemon.ask_json("-v", "graph")["nodes"]) > 500
    assert daemon.ask("graph").out.count("<text") < 80


def shape_of(svg: str) -> list[tuple[str, list[str], list[str]]]:
    """Every node and edge: its title, its colours and its texts. Where they stand depends on the fonts of a host."""
    groups = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314  drawn by the test itself, or a file of ours
        title = group.find(f"{SVG}title")
        assert title is not None
        inner = [one for one in group if one.tag != f"{SVG}g"]
        colors = sorted({one.attrib[name] for one in inner for name in ("fill", "stroke") if name in one.attrib})
        groups.append((title.text or "", colors, [one.text or "" for one in inner if one.tag == f"{SVG}text"]))
    return groups


def test_the_picture_in_the_documents_is_what_the_command_draws(tmp_path: Path) -> None:
    kept = picture.PICTURE.read_text(encoding="utf-8")
    assert shape_of(kept) == shape_of(picture.draw(tmp_path))
    assert len(kept.encode()) < 20_000
