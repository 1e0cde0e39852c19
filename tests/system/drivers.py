"""What this kernel can do, and the mark of tests that need it."""

from __future__ import annotations

from typing import Final

import pytest

from tests.kernel import netns

NO_DUMMY: Final = "this kernel has no dummy driver: these run in the virtual machine, make test-vm"


def has_dummy() -> bool:
    """Does the kernel know dummy interfaces? Asked of `ip` itself, in a namespace of its own."""
    with netns.private_network():
        try:
            netns.ip("link add probe type dummy")
        except AssertionError:
            return False
    return True


needs_dummy = pytest.mark.skipif(not has_dummy(), reason=NO_DUMMY)
