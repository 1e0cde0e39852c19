"""Announcements on a real kernel."""

from __future__ import annotations

from pathlib import Path

from routed.kernel.kernel import Kernel
from routed.model.facts import Link
from tests.kernel.conftest import Network
from tests.kernel.objects import packed


def count_packet_sockets() -> int:
    """How many of this network namespace the kernel tells of."""
    return len(Path("/proc/thread-self/net/packet").read_text(encoding="ascii").splitlines()) - 1


def test_all_announcements_go_by_one_socket_for_the_kernel_waits_while_one_is_closed(network: Network) -> None:
    link = Link(network.v0, "v0", is_up=True, has_carrier=True, mac=bytes.fromhex("020000000001"))
    with Kernel() as kernel:
        assert count_packet_sockets() == 0
        for address in ("10.0.0.1", "10.0.0.7", "fd00::7"):
            kernel.announce(link, packed(address))
            assert count_packet_sockets() == 1
    assert count_packet_sockets() == 0
