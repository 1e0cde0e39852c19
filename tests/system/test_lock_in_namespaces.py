"""The lock and the network namespaces. Needs root, to make one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from routed.daemon.lock import acquire

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")

PROTOCOL = 2_000_000 + os.getpid()


def test_each_network_namespace_has_a_lock_of_its_own() -> None:
    program = f"from routed.daemon.lock import acquire; acquire({PROTOCOL})"
    with acquire(PROTOCOL):
        subprocess.run(["unshare", "--net", sys.executable, "-c", program], check=True)
        beside = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert f"another routed (pid {os.getpid()})" in beside.stderr


def test_a_stranger_who_holds_the_lock_is_called_one() -> None:
    program = f"""
import os, sys
from routed.daemon.lock import AlreadyRunningError, acquire
ready, tell = os.pipe()
stop, hold = os.pipe()
if os.fork() == 0:
    os.setuid(65534)
    lock = acquire({PROTOCOL})
    os.write(tell, b"x")
    os.close(hold)
    os.read(stop, 1)
    os._exit(0)
os.read(ready, 1)
try:
    acquire({PROTOCOL})
except AlreadyRunningError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "a process of uid 65534" in done.stdout
    assert "hardly a routed" in done.stdout
