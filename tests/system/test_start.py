"""What a start loads, and what it does without."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.netns import wait_until
from tests.probes import servers
from tests.probes.servers import Authority, encrypted, serving
from tests.system.daemon import Daemon

ROUTE = '[[route]]\nname = "one"\nto = "192.0.2.0/24"\ndev = "v0"\n'
CHECKED = """
[[check]]
name = "web"
type = "{type}"
target = "127.0.0.1:{port}"
host = "www.example.org"
verify = true
ca = "{ca}"
every = "200ms"
"""


def has_openssl(daemon: Daemon) -> bool:
    return "libcrypto" in Path(f"/proc/{daemon.pid}/maps").read_text()


def find_state(daemon: Daemon) -> object:
    return daemon.ask_json("status")["checks"][0]["state"]


def test_a_daemon_loads_openssl_when_a_check_speaks_tls_and_not_before(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    daemon.start(ROUTE)
    assert not has_openssl(daemon)
    for type_, serve in (("tls", servers.hang), ("https", servers.say(servers.http()))):
        with serving(encrypted(authority.issue("www.example.org"), serve)) as port:
            check = CHECKED.format(type=type_, port=port, ca=authority.certificate)
            assert not daemon.apply(f'{check}{ROUTE}requires = "@web"\nwhen_all_down = "withdraw"\n')["problems"]
            wait_until(lambda: find_state(daemon) == "up")
            assert has_openssl(daemon)
        wait_until(lambda: find_state(daemon) == "down")
