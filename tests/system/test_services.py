"""Services on a kernel that has no IPVS: what is said, what stands all the same, and who follows a service.

On one that has it: tests/vm/test_ipvs.py.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.kernel.netns import ip_json, wait_until
from tests.system.daemon import Daemon

HAS_IPVS = Path("/proc/net/ip_vs").exists()
ROUTE = '[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "10.0.0.2"\ndev = "v0"\n'


def service(port: int) -> str:
    check = '{ type = "tcp", every = "200ms", fall = 1, rise = 1 }'
    return f'[[service]]\nname = "api"\nlisten = "10.103.97.2:443"\nservers = ["127.0.0.1:{port}"]\ncheck = {check}\n'


@pytest.mark.skipif(HAS_IPVS, reason="this kernel has IPVS")
def test_without_ipvs_the_service_fails_with_its_reason_and_everything_else_stands(daemon: Daemon) -> None:
    daemon.start(ROUTE + service(9).replace("check =", "# check ="))
    assert daemon.entry("route/lan")["state"] == "in-sync"
    entry = daemon.entry("service/api")
    assert entry["state"] == "failed"
    assert "this kernel has no IPVS" in entry["reason"]
    assert daemon.ask("apply").code == 1
    assert 2 <= len(daemon.records("failed", "service/api")) <= 8  # one for each object and try, and no flood


def test_what_requires_a_service_is_there_while_a_server_answers(daemon: Daemon) -> None:
    def is_there() -> bool:
        return bool(ip_json("route show 10.30.0.0/16"))

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        daemon.start(service(port) + ROUTE + 'requires = "@service/api"\nwhen_all_down = "withdraw"\n')
        wait_until(is_there)
    wait_until(lambda: not is_there())
    assert daemon.entry("route/lan")["reason"].startswith(
        "service/api is down (0 of 1 servers up, 1 needed, check/api["
    )
    with socket.create_server(("127.0.0.1", port)):
        wait_until(is_there)


def test_without_a_daemon_nothing_waits_for_checks_of_servers_that_members_make(daemon: Daemon) -> None:
    (daemon.folder / "web.json").write_text('{"members": [{"name": "one", "addresses": ["10.0.0.9"]}]}')
    source = '[[source]]\nname = "web"\ntype = "file"\npath = "web.json"\naddresses_within = ["10.0.0.0/24"]\n'
    servers = 'servers = { for_each = "@web", address = "{address}:8443", check = { type = "tcp", every = "2s" } }\n'
    daemon.write(f'{source}[[service]]\nname = "web"\nlisten = "10.9.9.9:443"\nscheduler = "rr"\n{servers}')
    assert daemon.ask_json("apply", "--direct")["waiting"] == []
