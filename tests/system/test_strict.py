"""What ``check`` and ``plan`` say of this host: what can never come true here, and what the daemon cannot read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.kernel.netns import ip
from tests.system.callers import NOBODY
from tests.system.daemon import Daemon
from tests.system.host import everything
from tests.system.worlds import GATEWAY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")

CHECK = '[[check]]\nname = "wan"\ntype = "icmp"\ntarget = "10.0.0.2"\n'
REQUIRES = 'requires = "@wan"\nwhen_all_down = "withdraw"\n'
CHOICE = '[[interface]]\nname = "lan"\nmatch = [{ name = "v7" }]\n'
HERE = f"""{GATEWAY}
[[address]]
name = "more"
address = "10.77.0.1/24"
dev = "v0"
[[route]]
name = "behind-more"
to = "198.51.100.0/24"
via = "10.77.0.2"
src = "10.77.0.1"
table = 77
[[rule]]
name = "into"
priority = 1200
from = "10.9.0.0/16"
table = 77
[[rule]]
name = "main"
priority = 1201
family = "ipv4"
iif = "v1"
table = "main"
"""


def strictly(daemon: Daemon, toml: str, verb: str = "check") -> tuple[int, list[str]]:
    """The exit code, and what is wrong."""
    daemon.write(toml)
    answer = daemon.ask(verb, "--strict", "--color", "never")
    prefix = f"{daemon.config}:"
    return answer.code, [line.split(": ", 1)[1] for line in answer.err.splitlines() if line.startswith(prefix)]


def test_what_is_here_or_is_made_by_the_files_themselves_is_no_problem(daemon: Daemon) -> None:
    assert strictly(daemon, HERE) == (0, [])
    assert strictly(daemon, HERE, "plan") == (0, [])


@pytest.mark.parametrize("verb", ["check", "plan"])
@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[[route]]\nname = "a"\nto = "192.0.2.0/24"\ndev = "v7"\n', "route/a: link v7 does not exist"),
        ('[[address]]\nname = "a"\naddress = "10.9.0.1/24"\ndev = "v7"\n', "address/a: link v7 does not exist"),
        ('[[route]]\nname = "a"\nto = "192.0.2.0/24"\nvia = "10.99.0.2"\n',
         "route/a: gateway 10.99.0.2 is on no network of this host"),
        ('[[route]]\nname = "a"\nto = "192.0.2.0/24"\nvia = "10.0.0.2"\nsrc = "10.66.0.1"\n',
         "route/a: address 10.66.0.1 (src) is not on this host"),
        (f'{CHOICE}[[route]]\nname = "a"\nto = "192.0.2.0/24"\ndev = "@lan"\n',
         "route/a: no interface of this host is @lan"),
        ('[[rule]]\nname = "a"\npriority = 1200\nfrom = "10.9.0.0/16"\ntable = 77\n',
         "rule/a: table 77 has no route, and the files put none into it"),
        ('[[rule]]\nname = "a"\npriority = 1200\nfamily = "ipv4"\niif = "v7"\ntable = "main"\n',
         "rule/a: link v7 does not exist"),
        (f'{CHECK}[[route]]\nname = "a"\nto = "192.0.2.0/24"\ndev = "v7"\n{REQUIRES}',
         "route/a: link v7 does not exist"),
        ('[[vip]]\nname = "a"\naddress = "10.0.0.80"\ndev = "v0"\ncreate = "dummy"\n',
         "link/v0: link v0 is there already, and is a veth: choose another name, or delete it"),
    ],
)  # fmt: skip
def test_what_can_never_come_true_here_fails(daemon: Daemon, verb: str, toml: str, said: str) -> None:
    before = everything()
    assert strictly(daemon, toml, verb) == (78, [said])
    assert daemon.ask(verb).code == 0  # the daemon waits for it
    assert everything() == before


def test_a_table_that_somebody_else_fills_is_known(daemon: Daemon) -> None:
    ip("route add 198.51.100.0/24 dev v0 table 77")
    rule = '[[rule]]\nname = "a"\npriority = 1200\nfrom = "10.9.0.0/16"\ntable = 77\n'
    assert strictly(daemon, rule) == (0, [])


def test_a_misspelt_interface_is_answered_with_the_one_that_is_there(daemon: Daemon) -> None:
    ip("link set v1 down")
    ip("link set v1 name backbone")
    daemon.write('[[route]]\nname = "a"\nto = "192.0.2.0/24"\ndev = "bakcbone"\n')
    document = json.loads(daemon.ask("--json", "check", "--strict").out)
    (problem,) = document["problems"]
    assert (document["valid"], problem["hint"]) == (False, 'did you mean "backbone"?')
    assert problem["source_line"][problem["column"] - 1 :] == '"bakcbone"'


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that root owns and everybody may enter, and so may those above it be."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def write_list(daemon: Daemon, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("192.0.2.0/24\n")
    daemon.write(f'[[route]]\nprefixes_file = "{path}"\ntype = "blackhole"\n')


@pytest.mark.parametrize(("mode", "owner", "said"), [(0o600, NOBODY, True), (0o644, NOBODY, False), (0o600, 0, False)])
def test_a_file_that_root_may_read_and_the_daemon_may_not_is_told(
    daemon: Daemon, open_folder: Path, mode: int, owner: int, said: bool
) -> None:
    listed = open_folder / "drop.txt"
    write_list(daemon, listed)
    listed.chmod(mode)
    os.chown(listed, owner, owner)
    checked = daemon.ask("check")
    assert (checked.code, str(listed) in checked.err) == (0, said)
    assert ("routed.service has no CAP_DAC_OVERRIDE" in checked.err) is said
    assert daemon.ask("check", "--strict").code == (78 if said else 0)


def test_a_folder_that_only_its_owner_may_enter_is_named(daemon: Daemon, open_folder: Path) -> None:
    folder = open_folder / "closed"
    write_list(daemon, folder / "drop.txt")
    folder.chmod(0o700)
    os.chown(folder, NOBODY, NOBODY)
    checked = daemon.ask("check")
    assert f"{folder} belongs to nobody and has mode 0700" in checked.err
    assert f"chmod o+x {folder}" in checked.err
