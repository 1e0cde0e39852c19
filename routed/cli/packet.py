"""The packet that the options of ``why`` and ``plan --why`` are about."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from routed.cli.exits import CommandError, Exit
from routed.model.lookup import Flow
from routed.model.net import family_of, parse_address

OPTIONS: Final = ("from", "iif", "oif", "mark", "tos", "dscp", "proto", "sport", "dport", "uid")


def read_address(text: str) -> bytes | None:
    """The address (packed); None where it is none, nor a prefix. Raises CommandError."""
    host, slash, length = text.partition("/")
    try:
        address = parse_address(host)
    except ValueError:
        return None
    if slash and length:
        raise CommandError(f"{text} is a prefix: say one address of it", Exit.USAGE)
    if not any(address):
        raise CommandError(f"nothing is sent to {host}: say an address", Exit.USAGE)
    return address


def find_given(options: Namespace) -> str:
    """The first option that says something of a packet; empty where none is given."""
    return next((word for word in OPTIONS if getattr(options, word)), "")


def make_flow(options: Namespace, address: bytes) -> Flow:
    """The packet to this address as the options have it. Raises CommandError for one that there cannot be."""
    source = getattr(options, "from")  # a word of Python
    if source and family_of(source) != family_of(address):
        raise CommandError("--from is of another family than the address", Exit.USAGE)
    if options.iif and options.oif:
        raise CommandError("a packet that comes in by a link is bound to none: --iif or --oif", Exit.USAGE)
    if options.iif and not source:
        raise CommandError("a packet that comes in has a source: say --from", Exit.USAGE)
    if options.iif and options.uid is not None:
        raise CommandError("a packet that comes in is sent by no user: --iif or --uid", Exit.USAGE)
    if options.tos and options.dscp:
        raise CommandError("--tos and --dscp are the same field: say one", Exit.USAGE)
    if (options.sport or options.dport) and not options.proto:
        raise CommandError("a port belongs to a protocol: say --proto tcp, or udp", Exit.USAGE)
    return Flow(
        source=source or b"",
        iif=options.iif,
        oif=options.oif,
        mark=options.mark,
        tos=options.tos or options.dscp << 2,
        ipproto=options.proto,
        sport=options.sport,
        dport=options.dport,
        uid=options.uid or 0,
    )
