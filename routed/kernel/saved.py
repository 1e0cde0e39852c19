"""The binary form of ``ip route save``: a number of four bytes, then the messages of a dump.

Source: route_dump_magic and show_or_save in ip/iproute.c of iproute2. Interfaces are in it by their index alone.
"""

from __future__ import annotations

from sys import byteorder
from typing import Final

from routed.kernel.codec import messages
from routed.kernel.codec.route import decode_route
from routed.model.objects import Standing

MAGIC: Final = (0x45311224).to_bytes(4, byteorder)


def is_saved(data: bytes) -> bool:
    """Does a file begin as one of these?"""
    return data.startswith(MAGIC)


def read_saved(data: bytes) -> list[Standing]:
    """The routes in it. Raises MalformedMessage."""
    body = data[len(MAGIC) :]
    found = (decode_route(body, start, end) for _, _, start, end in messages(body))
    return [route for route in found if route is not None]
