"""What stands behind an option: the text as a value. Each raises ArgumentTypeError with a sentence for what is none.

For the table of ``arguments``. What only few commands take is imported when it is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable


def read_duration(text: str) -> float:
    """A time such as ``5m``, in seconds."""
    from routed.intent.words import duration  # few commands take one

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_host(text: str) -> bytes:
    """A packed address; names are not looked up."""
    from routed.model.net import parse_address  # few commands take one

    if "%" in text:
        raise argparse.ArgumentTypeError(f'"{text}" has a scope: write the address alone')
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; names are not looked up") from None


def read_moment(text: str) -> float:
    """A moment, or a time before now, in seconds since 1970."""
    from datetime import datetime  # few commands take one

    from routed.cli.moments import parse_moment

    try:
        return parse_moment(text, datetime.now().astimezone()).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_assumptions(text: str) -> list[str]:
    """Assumptions with commas between them, each in its form."""
    from routed.audit.reasons import describe_reason  # few commands take one
    from routed.core.assumptions import ASSUMABLE, FILE, AssumptionError, split_assumption

    given: list[str] = []
    for one in text.split(","):
        if given and given[-1].startswith(f"{FILE}:") and one.partition(":")[0] not in ASSUMABLE:
            given[-1] += f",{one}"  # of its path
        else:
            given.append(one)
    try:
        for one in given:
            split_assumption(one)
    except AssumptionError as error:
        raise argparse.ArgumentTypeError(describe_reason(error.why)) from None
    return given


def read_list(text: str) -> list[str]:
    """What has commas between it."""
    return text.split(",")


def read_kinds(text: str) -> list[str]:
    """Kinds of names that a shell completes, with commas."""
    from routed.cli.offers import OFFERS  # only scripts of shells ask

    kinds = text.split(",")
    if not OFFERS.keys() >= set(kinds):
        raise argparse.ArgumentTypeError(f'"{text}" is not among {", ".join(OFFERS)}')
    return kinds


def read_number(text: str) -> int:
    """The number of a revision."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f'"{text}" is not the number of a revision')
    return int(text)


def read_side(text: str) -> int | str:
    """The number of a revision, or a file."""
    return read_number(text) if text.isdigit() else text


def read_count(text: str) -> int:
    """A number of lines."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of lines')
    return int(text)


def read_within(what: str, most: int) -> Callable[[str], int]:
    """What reads a number as the kernel's tools take it, with 0x too."""

    def read(text: str) -> int:
        try:
            number = int(text, 0) if text.isascii() else -1
        except ValueError:
            number = -1
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f'"{text}" is no {what}: a number from 0 to {most}')
        return number

    return read


def read_ip_protocol(text: str) -> int:
    """A protocol of IP by its name or its number."""
    from routed.model.names import IP_PROTOCOLS  # few commands take one

    numbers = {name: number for number, name in IP_PROTOCOLS.items()}
    if text in numbers:
        return numbers[text]
    return read_within("protocol: tcp, udp, icmp …, or", 255)(text)
