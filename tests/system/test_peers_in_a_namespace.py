"""The peers of real TCP sessions, in a network namespace of their own. Needs root, to make one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")

PROGRAM = """
import socket, sys
from pathlib import Path
from routed.daemon.peers import find_ssh_sessions
from routed.model.net import format_address

sshd = socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True)
sessions = [socket.create_connection((host, 22), source_address=(host, 0)) for host in sys.argv[1:]]
other = socket.create_server(("127.0.0.9", 80))
web = socket.create_connection(("127.0.0.9", 80), source_address=("127.0.0.8", 0))
print(*sorted(map(format_address, find_ssh_sessions(Path("/no/such/file")).peers)))
"""


def test_the_peers_of_sshd_are_found_for_both_families_and_nobody_else() -> None:
    script = 'ip link set lo up && exec "$0" "$@"'
    hosts = ["127.0.0.2", "127.0.0.3", "::1"]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable, "-c", PROGRAM, *hosts],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == hosts
