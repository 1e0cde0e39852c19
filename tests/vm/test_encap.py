"""Encapsulations on Debian's kernel, which has MPLS and VRFs."""

from __future__ import annotations

import pytest

from tests.vm.host import Host
from tests.vm.test_kernel import play


@pytest.mark.timeout(1200)
def test_mpls_and_vrfs_are_put_read_and_taken_there(host: Host) -> None:
    assert host.machine.run("modprobe -a mpls_router mpls_iptunnel vrf", within=60).code == 0
    said = play(host, "tests/kernel/test_encap.py")
    assert "no VRF can be made here" not in said
    said = play(host, "tests/system/test_encap.py -k mpls")
    assert "1 passed" in said
