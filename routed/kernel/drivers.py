"""The names of network drivers, as ``ethtool -i`` says them: ETHTOOL_GDRVINFO, one ioctl for each link.

Source: include/uapi/linux/ethtool.h (struct ethtool_drvinfo), include/uapi/linux/sockios.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from fcntl import ioctl
from socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket
from struct import Struct
from sys import byteorder
from typing import Final

from routed.model.facts import Link

_SIOCETHTOOL: Final = 0x8946
_GET_DRIVER: Final = 3  # ETHTOOL_GDRVINFO
_INFO_SIZE: Final = 196  # bytes of struct ethtool_drvinfo; the driver's name is the 32 bytes after its first four
_REQUEST: Final = Struct("@16sP16x")  # struct ifreq: the link's name and a pointer to the answer


def read_drivers(links: Iterable[Link]) -> dict[int, str]:
    """The drivers of these links by ifindex; a link that has none, or has gone, is absent. Raises OSError."""
    found: dict[int, str] = {}
    with socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC) as asked:
        for link in links:
            info = ctypes.create_string_buffer(_GET_DRIVER.to_bytes(4, byteorder), _INFO_SIZE)
            request = _REQUEST.pack(link.name.encode(errors="surrogateescape"), ctypes.addressof(info))
            try:
                ioctl(asked, _SIOCETHTOOL, request)
            except OSError:
                continue
            found[link.ifindex] = info.raw[4:36].partition(b"\0")[0].decode(errors="replace")
    return {index: driver for index, driver in found.items() if driver}
