"""The engines of editors accept what routed accepts, and point at the key that is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from routed.intent import schema, schema_service
from routed.intent.jsonschema import list_tables, render_schema
from routed.intent.schema_check import CheckTable
from routed.intent.schema_members import SourceTable
from routed.intent.schema_values import Table
from tests.unit.intent.intent_help import problems

PROJECT = Path(__file__).parents[3]

GOOD = """\
version = 1
[daemon]
protocol = 114
resync = "60s"
fight_limit = "off"
[[table]]
name = "storage"
id = 120
[[route]]
name = "storage-lan"
to = "10.30.0.0/16"
via = "10.20.0.1"
table = "storage"
metric = 50
lock = ["mtu"]
mtu = 1400
[[route]]
to = "198.51.100.0/24"
hops = [ { via = "192.0.2.1", dev = "ens3", weight = 3 }, { via = "203.0.113.1", dev = "ens4" } ]
[[rule]]
priority = 1200
from = "10.20.0.0/21"
not = true
fwmark = "0x30/0xff"
sport = 80
table = 120
[[address]]
address = "10.20.0.11/21"
dev = "eth0"
preferred_lft = 0
[[vip]]
name = "ingress"
address = "192.0.2.80"
dev = "lo"
[[source]]
name = "fleet"
type = "file"
path = "fleet.json"
prefixes_within = ["10.244.0.0/16"]
addresses_within = ["10.20.0.0/21"]
gone_after = "30s"
max_loss = "off"
on_stale = "24h"
[[route]]
name = "pods"
for_each = "@fleet"
where = { on_link = true, labels = { zone = "a" } }
to = "{prefixes}"
via = "{address}"
[[rule]]
name = "from-pods"
for_each = "@fleet"
priority = 50
from = "{labels.pod-net}"
table = "storage"
[[service]]
name = "web"
listen = "10.20.0.80:443"
[service.servers]
for_each = "@fleet"
where = { ready = true }
address = "{address}:8443"
weight = "{weight}"
check = { type = "tcp" }
"""

WRONG = [
    ("metric = 50", 'metric = "high"', "metric"),
    ('via = "10.20.0.1"', 'gateway = "10.20.0.1"', "gateway"),
    ('resync = "60s"', "resync = 60", "resync"),
    ("weight = 3", "weight = 300", "weight"),
    ("table = 120", "lookup = 120", "lookup"),
    ("preferred_lft = 0", "preferred_lft = 60", "preferred_lft"),
    ("version = 1", "version = 2", "version"),
    ('via = "{address}"', 'via = "{gateway}"', "{gateway}"),
    ("on_link = true", 'on_link = "yes"', "on_link"),
    ("ready = true", 'ready = "yes"', "ready"),
    ('max_loss = "off"', 'max_loss = "none"', "max_loss"),
]  # fmt: skip


def engine(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def lint(name: str, folder: Path, text: str) -> tuple[int, str]:
    (folder / "routed.schema.json").write_text(render_schema())
    file = folder / "routed.toml"
    file.write_text(f"#:schema {folder}/routed.schema.json\n" + text)
    arguments = {"taplo": ["lint", "--colors", "never"], "tombi": ["lint", "--offline"]}[name]
    done = subprocess.run(
        [engine(name), *arguments, str(file)], capture_output=True, text=True, cwd=folder, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["taplo", "tombi"])
def test_an_editor_accepts_a_right_file(name: str, tmp_path: Path) -> None:
    code, output = lint(name, tmp_path, GOOD)
    assert code == 0, output
    assert problems(GOOD.removeprefix("version = 1\n")) == ()


@pytest.mark.parametrize("name", ["taplo", "tombi"])
@pytest.mark.parametrize(("right", "wrong", "key"), WRONG)
def test_an_editor_points_at_the_key_that_is_wrong(name: str, right: str, wrong: str, key: str, tmp_path: Path) -> None:
    text = GOOD.replace(right, wrong, 1)
    assert text != GOOD
    code, output = lint(name, tmp_path, text)
    line = 1 + next(number for number, one in enumerate(text.splitlines(), 1) if key in one.split("#")[0])
    assert code != 0
    assert f"routed.toml:{line}:" in output, output


# A table that lacks nothing, the last one of each text.
WHOLE: dict[type[Table], str] = {
    schema.RoutingTable: '[[table]]\nname = "a"\nid = 5\n',
    schema.Hop: '[[route]]\nto = "default"\n[[route.hops]]\nvia = "10.0.0.1"\n',
    schema.Route: '[[route]]\nto = "10.0.0.0/8"\nvia = "10.0.0.1"\n',
    schema.Rule: "[[rule]]\npriority = 1000\nfamily = 'ipv4'\ntable = 5\n",
    schema.AddressTable: '[[address]]\naddress = "10.0.0.1/24"\ndev = "eth0"\n',
    schema.Vip: '[[vip]]\naddress = "10.0.0.1"\ndev = "lo"\n',
    schema.TunnelTable: '[[tunnel]]\ndev = "t0"\nlocal = "10.0.0.1"\n',
    schema.Match: '[[interface]]\nname = "a"\n[[interface.match]]\nname = "eth0"\n',
    schema.InterfaceTable: '[[interface]]\nname = "a"\nmatch = [ { name = "eth0" } ]\n',
    CheckTable: '[[check]]\nname = "a"\ntype = "icmp"\ntarget = "10.0.0.1"\n',
    SourceTable: '[[source]]\nname = "a"\ntype = "file"\npath = "fleet.json"\n',
    schema_service.Server: '[[service]]\nlisten = "10.0.0.1:80"\n[[service.servers]]\naddress = "10.0.0.2"\n',
    schema_service.MemberServer: (
        '[[source]]\nname = "a"\ntype = "file"\npath = "fleet.json"\naddresses_within = ["10.0.0.0/8"]\n'
        '[[service]]\nname = "b"\nlisten = "10.0.0.1:80"\n[service.servers]\nfor_each = "@a"\naddress = "{address}"\n'
    ),
    schema_service.Agent: '[[service]]\nlisten = "10.0.0.1:80"\nservers = ["10.0.0.2"]\n[service.agent]\nport = 5\n',
    schema_service.NamelessCheck: (
        '[[service]]\nlisten = "10.0.0.1:80"\nservers = ["10.0.0.2"]\n[service.check]\ntype = "tcp"\n'
    ),
    schema_service.ServiceTable: '[[service]]\nlisten = "10.0.0.1:80"\nservers = ["10.0.0.2"]\n',
}
LACKING = [(table, row) for table in WHOLE for row in table.NEEDS]


def take_out(text: str, keys: tuple[str, ...]) -> str:
    """The text without these keys of its last table."""
    head, bracket, table = text.rpartition("\n[")
    lines = [line for line in table.splitlines(keepends=True) if line.partition(" ")[0] not in keys]
    return head + bracket + "".join(lines)


def test_every_table_that_needs_a_key_is_among_those_that_are_tried() -> None:
    assert {table for table in list_tables(Table) if table.NEEDS} == WHOLE.keys()


@pytest.mark.parametrize("table", WHOLE)
def test_a_table_with_the_keys_that_it_needs_is_whole(table: type[Table], tmp_path: Path) -> None:
    assert problems(WHOLE[table]) == ()
    for name in ("taplo", "tombi"):
        assert lint(name, tmp_path, WHOLE[table])[0] == 0


@pytest.mark.parametrize(("table", "row"), LACKING)
def test_an_editor_misses_what_routed_misses(table: type[Table], row: tuple[str, ...], tmp_path: Path) -> None:
    text = take_out(WHOLE[table], row)
    assert text != WHOLE[table]
    assert problems(text)
    for name in ("taplo", "tombi"):
        assert lint(name, tmp_path, text)[0] != 0


@pytest.mark.parametrize("word", schema.ENTRY_TABLES)
def test_an_entry_that_is_taken_away_needs_nothing(word: str, tmp_path: Path) -> None:
    text = f'[[{word}]]\nname = "a"\ndisabled = true\n'
    assert problems(text) == ()
    for name in ("taplo", "tombi"):
        assert lint(name, tmp_path, text)[0] == 0


def test_every_file_that_we_hand_out_names_the_schema_where_the_package_has_it() -> None:
    rules = (PROJECT / "contrib/debian/rules").read_text()
    (name,) = re.findall(r"schema >\$\(SHARE\)/(.*)", rules)
    files = [
        *PROJECT.glob("examples/*.toml"),
        *PROJECT.glob("contrib/systemd/*.toml"),
        *PROJECT.glob("routed/**/*.toml"),
    ]
    assert len(files) > 15
    assert {file.read_text().partition("\n")[0] for file in files} == {f"#:schema /usr/share/{name}"}
