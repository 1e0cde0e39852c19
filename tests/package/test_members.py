"""Sources of members under systemd: a program runs as its helper does, and the key of etcd's user is handed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kernel.netns import ip, wait_until
from tests.members import etcds
from tests.members.certificates import Authority, context_of, options_of
from tests.package.machine import Machine
from tests.system.host import routes

CONFIG: Final = "/etc/routed.toml"
PATIENCE: Final = 20.0  # seconds
FOLLOWED: Final = """
prefixes_within = ["10.5.0.0/16"]
addresses_within = ["10.0.0.0/24"]
max_loss = "off"

[[route]]
name = "pods"
for_each = "@fleet"
to = "{prefixes}"
via = "{address}"
"""


def a_member(number: int) -> dict[str, Any]:
    return {"name": f"n{number}", "addresses": [f"10.0.0.{number}"], "prefixes": [f"10.5.{number}.0/24"]}


def are_followed(*numbers: int) -> bool:
    return {f"10.5.{one}.0/24" for one in numbers} == {one["dst"] for one in routes()}


def start(host: Machine, text: str) -> None:
    host.path(CONFIG).write_text(text + FOLLOWED)
    host.run("systemctl", "enable", "--now", "--quiet", "routed")


def the_source(host: Machine) -> str:
    """What is said of the source, in the line above its members."""
    return host.ask("routed", "members").splitlines()[0]


# --- a program --------------------------------------------------------------------------------------------------------

PROGRAM: Final = "/usr/local/libexec/inventory"
EXEC: Final = f'version = 1\n[[source]]\nname = "fleet"\ntype = "exec"\ncommand = ["{PROGRAM}"]\n'
# What it may do is told by a member, so that nobody else can have said it. It leaves a process behind.
INVENTORY: Final = r"""
setsid sleep 4711 </dev/null >/dev/null 2>&1 &
added=$(ip route add 10.5.99.0/24 dev v0 2>&1)
touch /var/lib/routed/mine /etc/mine 2>/dev/null
cat /etc/secret 2>/dev/null
caps=$(sed -n 's/^CapEff:\t//p' /proc/self/status)
tell() {
    printf '{"members": [%s, {"name": "who", "labels": {"uid": "%s", "caps": "%s", "added": "%s"}}]}\n' \
        "$(cat /srv/inventory)" "$(id -u)" "$caps" "$added"
}
"""


def install(host: Machine, how: str) -> None:
    host.path(PROGRAM).parent.mkdir(exist_ok=True)
    host.path(PROGRAM).write_text(f"#!/bin/sh{INVENTORY}{how}\n")
    host.path(PROGRAM).chmod(0o755)
    host.path("/etc/secret").write_text("a secret\n")
    host.path("/etc/secret").chmod(0o600)


def tell(host: Machine, *numbers: int) -> None:
    """The inventory as a whole, at once."""
    new = host.path("/srv/inventory.new")
    new.write_text(", ".join(json.dumps(a_member(one)) for one in numbers))
    new.rename(host.path("/srv/inventory"))


@pytest.mark.parametrize(
    ("keys", "how"), [('every = "1s"', "tell"), ("", "while :; do tell; sleep 0.2; done")], ids=["once", "stream"]
)
def test_what_a_program_writes_as_a_user_without_rights_becomes_members_and_routes(
    host: Machine, keys: str, how: str
) -> None:
    install(host, how)
    tell(host, 2, 3)
    start(host, EXEC + keys)
    wait_until(lambda: are_followed(2, 3), PATIENCE)
    document = json.loads(host.ask("routed", "members", "fleet", "--json"))
    (who,) = [one["labels"] for one in document["members"] if one["name"] == "who"]
    assert 61184 <= int(who["uid"]) <= 65519  # DynamicUser= of systemd.exec(5)
    assert int(who["caps"], 16) == 0
    assert "Operation not permitted" in who["added"]
    assert not host.path("/etc/mine").exists()
    assert not host.path("/var/lib/routed/mine").exists()
    tell(host, 3, 4)
    wait_until(lambda: are_followed(3, 4), PATIENCE)
    host.run("systemctl", "stop", "routed")
    assert host.run("pgrep", "--full", f"sleep 4711|{PROGRAM}", may_fail=True).stdout == ""
    assert are_followed(3, 4)


def test_without_the_socket_nobody_is_a_member_and_what_to_do_is_said(host: Machine) -> None:
    install(host, "tell")
    tell(host, 2)
    host.run("systemctl", "mask", "--quiet", "--now", "routed-exec.socket")
    start(host, EXEC + 'every = "1s"')
    wait_until(lambda: "systemctl start routed-exec.socket" in the_source(host), PATIENCE)
    assert are_followed()
    host.run("systemctl", "unmask", "--quiet", "routed-exec.socket")
    host.run("systemctl", "start", "routed-exec.socket")
    wait_until(lambda: are_followed(2), PATIENCE)


# --- the key of etcd --------------------------------------------------------------------------------------------------

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/a-fleet-that-registers-itself.md"
ADDRESS: Final = "192.168.50.50"  # that of the page
KEPT: Final = "/etc/ssl/etcd/ssl"  # likewise
NAMES: Final = {"ca": "ca.pem", "cert": "node-node1.pem", "key": "node-node1-key.pem"}


def read_page() -> tuple[str, str]:
    """The drop-in and the file that the page has for certificates."""
    section = PAGE.read_text(encoding="utf-8").partition("## Certificates")[2]
    (drop_in,), (text,) = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("ini", "toml"))
    return drop_in, text


@pytest.fixture
def etcd(host: Machine, tmp_path: Path) -> Iterator[etcds.Cluster]:
    """A real one as kubekey has it: TLS, clients by certificates with a common name, and keys of its own user alone."""
    if not etcds.PROGRAMS:
        pytest.skip("no etcd here: contrib/bootstrap brings it")
    ip(f"address add {ADDRESS}/32 dev lo")
    authority = Authority(tmp_path / "tls")
    server = authority.issue("server", host=f"{ADDRESS},IP:127.0.0.1")
    client = authority.issue("node1", subject="/CN=etcd-node1")
    host.run("useradd", "--system", "etcd")
    host.path(KEPT).mkdir(parents=True)
    for key, name in NAMES.items():
        host.path(f"{KEPT}/{name}").write_bytes(Path(getattr(client, key)).read_bytes())
        host.run("chmod", "600", f"{KEPT}/{name}")
    host.run("chown", "--recursive", "etcd", "/etc/ssl/etcd")
    host.run("chmod", "700", KEPT)
    url = f"https://{ADDRESS}:2379"
    options = (f"--listen-client-urls={url},https://127.0.0.1:2379", f"--advertise-client-urls={url}")
    program, context = next(iter(etcds.PROGRAMS.values())), context_of(client)
    with etcds.running(program, tmp_path, 1, context, *options, *options_of(server), awaits=False) as cluster:
        cluster.servers[0].port = 2379
        wait_until(cluster.answers, PATIENCE)
        for number in (2, 3):
            cluster.put(f"/routed/fleet/n{number}", json.dumps(a_member(number)))
        yield cluster


def hand_over(host: Machine, drop_in: str) -> None:
    folder = host.path("/etc/systemd/system/routed.service.d")
    folder.mkdir(exist_ok=True)
    (folder / "etcd.conf").write_text(drop_in)
    host.run("systemctl", "daemon-reload")


def test_a_key_of_the_user_etcd_is_handed_over_as_the_page_says(host: Machine, etcd: etcds.Cluster) -> None:
    drop_in, text = read_page()
    hand_over(host, drop_in)
    start(host, text)
    wait_until(lambda: are_followed(2, 3), PATIENCE)
    assert "live" in the_source(host)
    etcd.put("/routed/fleet/n4", json.dumps(a_member(4)))
    wait_until(lambda: are_followed(2, 3, 4), PATIENCE)
    host.run("systemctl", "reload", "routed")
    assert "live" in the_source(host)
    assert host.ask("stat", "--format=%U %a", f"{KEPT}/{NAMES['key']}") == "etcd 600"


def test_without_the_drop_in_status_says_which_line_the_unit_lacks_until_it_has_it(
    host: Machine, etcd: etcds.Cluster
) -> None:
    drop_in, text = read_page()
    start(host, text)
    wait_until(lambda: "routed.service needs LoadCredential=etcd-" in the_source(host), PATIENCE)
    assert "routed.service needs LoadCredential=etcd-" in host.ask("routed", "status")
    assert are_followed()
    hand_over(host, drop_in)
    host.run("systemctl", "restart", "routed")
    wait_until(lambda: are_followed(2, 3), PATIENCE)


def test_the_path_of_a_key_of_another_user_is_refused_with_the_line_that_the_unit_needs(
    host: Machine, etcd: etcds.Cluster
) -> None:
    _, text = read_page()
    for key, name in NAMES.items():
        text = text.replace(f'"etcd-{key}"', f'"{KEPT}/{name}"')
    start(host, text)
    wait_until(lambda: f"LoadCredential=NAME:{KEPT}/" in the_source(host), PATIENCE)
    assert f"LoadCredential=NAME:{KEPT}/" in host.ask("routed", "status")
    checked = host.run("routed", "check")
    assert f"LoadCredential=NAME:{KEPT}/{NAMES['ca']}" in checked.stdout + checked.stderr
    assert are_followed()
