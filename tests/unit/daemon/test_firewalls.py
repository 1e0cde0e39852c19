"""Packet filters by the tools that are installed: what is not there, refuses or babbles is not an empty rule set."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.daemon import firewalls
from routed.daemon.firewalls import read_filters
from routed.model.diagnosis import Hidden, Obstacle, Region

EMPTY = '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}'
SAVED = "*filter\n:INPUT DROP [0:0]\nCOMMIT"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the only programs that there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """What stands in place of /proc/net."""
    folder = tmp_path / "net"
    folder.mkdir()
    return folder


def tool(folder: Path, name: str, says: str = "", *, fails: str = "") -> None:
    file = folder / name
    end = f"echo '{fails}' >&2; exit 1" if fails else ""
    file.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{says}\nEND\n{end}\n")
    file.chmod(0o755)


def test_without_a_tool_nobody_knows(tools: Path, tables: Path) -> None:
    assert read_filters(tables) == (None, [Hidden(Region.FIREWALL, Obstacle.TOOL, "nft")])


def test_an_empty_rule_set_is_one(tools: Path, tables: Path) -> None:
    tool(tools, "nft", EMPTY)
    ruleset, hidden = read_filters(tables)
    assert ruleset is not None
    assert (ruleset.chains, hidden) == ((), [])


@pytest.mark.parametrize("says", ["", "no JSON", "{}", "[]", '{"nftables": [{"rule": 7}]}'])
def test_what_is_not_understood_is_not_empty(tools: Path, tables: Path, says: str) -> None:
    tool(tools, "nft", says)
    _, (hidden,) = read_filters(tables)
    assert (hidden.region, hidden.obstacle) == (Region.FIREWALL, Obstacle.ERROR)


@pytest.mark.parametrize(
    ("fails", "obstacle"),
    [
        ("Operation not permitted (you must be root)", Obstacle.RIGHTS),
        ("iptables-save: Permission denied", Obstacle.RIGHTS),
        ("netlink: Error: cache initialization failed", Obstacle.ERROR),
    ],
)
def test_a_tool_that_refuses_says_whether_it_is_for_want_of_rights(
    tools: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, fails: str, obstacle: Obstacle
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    tool(tools, "nft", fails=fails)
    _, (hidden,) = read_filters(tables)
    assert hidden.obstacle is obstacle


def test_tables_of_iptables_legacy_are_read_where_they_are_in_use(tools: Path, tables: Path) -> None:
    tool(tools, "nft", EMPTY)
    (tables / "ip_tables_names").write_text("")
    assert read_filters(tables)[1] == []
    (tables / "ip_tables_names").write_text("filter\n")
    missing = Hidden(Region.LEGACY_FIREWALL, Obstacle.TOOL, "iptables-legacy-save")
    assert read_filters(tables)[1] == [missing]
    tool(tools, "iptables-legacy-save", SAVED)
    ruleset, hidden = read_filters(tables)
    assert ruleset is not None
    assert ([one.tool for one in ruleset.chains], hidden) == (["iptables-legacy"], [])


def test_iptables_alone_does_not_show_what_nft_would(tools: Path, tables: Path) -> None:
    tool(tools, "iptables-save", SAVED)
    ruleset, hidden = read_filters(tables)
    assert ruleset is not None
    assert len(ruleset.chains) == 1
    assert hidden == [Hidden(Region.FIREWALL, Obstacle.TOOL, "nft")]


def test_what_iptables_and_its_legacy_have_under_one_name_both_count(tools: Path, tables: Path) -> None:
    tool(tools, "iptables-save", SAVED)
    (tables / "ip_tables_names").write_text("filter\n")
    tool(tools, "iptables-legacy-save", SAVED)
    ruleset, _ = read_filters(tables)
    assert ruleset is not None
    assert [one.tool for one in ruleset.chains] == ["iptables", "iptables-legacy"]


def test_a_tool_that_hangs_is_left(tools: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewalls.run, "__kwdefaults__", {"patience": 0.05})
    (tools / "nft").write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    (tools / "nft").chmod(0o755)
    _, (hidden,) = read_filters(tables)
    assert hidden.obstacle is Obstacle.ERROR
