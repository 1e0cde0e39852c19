"""The engines of editors accept what routed accepts, and point at the key that is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from routed.intent.jsonschema import render_schema
from tests.unit.intent.intent_help import problems

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
    file.write_text("#:schema ./routed.schema.json\n" + text)
    schema = f"file://{folder}/routed.schema.json"
    arguments = {"taplo": ["lint", "--colors", "never", "--schema", schema], "tombi": ["lint", "--offline"]}[name]
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
