"""What this kernel can do, and the mark of tests that need it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.kernel import netns
from tests.kernel.ipvsadm import NO_IPVS

NO_DUMMY: Final = "this kernel has no dummy driver: these run in the virtual machine, make test-vm"
NO_VRF: Final = "this kernel has no VRFs: these run in the virtual machine, make test-vm"
NO_IPIP: Final = "this kernel has no ipip module: these run in the virtual machine, make test-vm"


def has_driver(kind: str) -> bool:
    """Does the kernel know interfaces of this kind? Asked of `ip` itself, in a namespace of its own."""
    with netns.private_network():
        try:
            netns.ip(f"link add probe type {kind}")
        except AssertionError:
            return False
    return True


HAS_DUMMY: Final = has_driver("dummy")
HAS_IPIP: Final = has_driver("ipip local 192.0.2.1")
needs_vrf = pytest.mark.skipif(not has_driver("vrf table 40"), reason=NO_VRF)
needs_dummy = pytest.mark.skipif(not HAS_DUMMY, reason=NO_DUMMY)
needs_ipip = pytest.mark.skipif(not HAS_IPIP, reason=NO_IPIP)
needs_ipvs = pytest.mark.skipif(not Path("/proc/net/ip_vs").exists(), reason=NO_IPVS)
