"""A link without neighbours: two ends of a tunnel, in two network namespaces, and a thread that carries packets."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import pack
from typing import Final

from tests.kernel import netns
from tests.kernel.netns import ip

_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEAD: Final = 0x1001  # IFF_TUN | IFF_NO_PI


def _is_echo(packet: bytes) -> bool:
    return packet[20] in {0, 8} if packet[0] >> 4 == 4 else packet[40] in {128, 129}


class Tunnel:
    """What carries the packets."""

    def __init__(self, ends: list[int], until: int) -> None:
        self.delay = 0.0  # seconds that each echo takes
        self._ends = ends
        self._until = until  # a descriptor: the end

    def carry(self) -> None:
        """Until the end."""
        while True:
            readable, _, _ = select.select([*self._ends, self._until], [], [])
            if self._until in readable:
                return
            for end in readable:
                with suppress(OSError):
                    packet = os.read(end, 65536)
                    time.sleep(self.delay if _is_echo(packet) else 0.0)
                    os.write(self._ends[1 - self._ends.index(end)], packet)


@contextmanager
def tunnel(far: Path) -> Iterator[Tunnel]:
    """tun0 here with 10.9.0.1 and fd09::1, its far end there with 10.9.0.2 and fd09::2."""
    with ExitStack() as stack:
        ends = [_open(stack, 1)]
        with netns.inside(far):
            ends.append(_open(stack, 2))
            netns.wait_until_usable()
        reading, writing = os.pipe()
        between = Tunnel(ends, reading)
        thread = threading.Thread(target=between.carry, daemon=True)
        thread.start()
        try:
            yield between
        finally:
            os.close(writing)
            thread.join()
            os.close(reading)


def _open(stack: ExitStack, number: int) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    stack.callback(os.close, end)
    fcntl.ioctl(end, _TUNSETIFF, pack("16sH22x", b"tun0", _TUN_WITHOUT_HEAD))
    ip("link set tun0 up")
    ip(f"address add 10.9.0.{number} peer 10.9.0.{3 - number}/32 dev tun0")
    ip(f"address add fd09::{number}/64 dev tun0 nodad")
    return end
