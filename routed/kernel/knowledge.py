"""Which attributes of rules this kernel knows: an old one takes a rule with one that it has never heard of without it.

Such a rule would be for other packets than the one that was asked for, and nothing would say so.
Source: fib_nl2rule in net/core/fib_rules.c, which parses liberally (nlmsg_parse_deprecated).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import ACK, HEADER_SIZE, REQUEST, attribute, message
from routed.kernel.codec.rule import encode_rule
from routed.kernel.requests import RequestSocket
from routed.model.attributes import SINCE
from routed.model.names import TO_TABLE
from routed.model.net import IPV6
from routed.model.objects import RuleMember, RuleSlot, RuleValue

_DELETE_RULE: Final = 33  # RTM_DELRULE
_ERROR: Final = Struct("=i")  # nlmsgerr.error
_ANSWER: Final = 1 << 13  # bytes
_REFUSED: Final = frozenset({-22, -34})  # EINVAL and ERANGE: it has read the attribute, which is empty
# A rule that nobody has: the last priority but one, and a table that has no route.
_NOBODYS: Final = RuleMember(0xFFFFFFFE, TO_TABLE, table=0xFFFFFFFE)


def find_unknown(requests: RequestSocket, version: tuple[int, int], numbers: Iterable[int]) -> frozenset[int]:
    """Those that this kernel does not know. Raises OSError.

    The release tells it, but for kernels into which somebody put the attribute since: an older one is asked to delete a
    rule that nobody has, with the attribute and nothing in it. Who knows it says that it is too short.
    """
    return frozenset(
        number for number in numbers if version < _parse(SINCE[number][1]) and not _is_read(requests, number)
    )


def _parse(release: str) -> tuple[int, int]:
    major, _, minor = release.partition(".")
    return int(major), int(minor)


def _is_read(requests: RequestSocket, number: int) -> bool:
    body = encode_rule(RuleSlot(IPV6), _NOBODYS, RuleValue(0)) + attribute(number, b"")
    sequence = requests.take_numbers(1)
    requests.ask(message(_DELETE_RULE, REQUEST | ACK, sequence, body))
    answer = requests.receive(_ANSWER, sequence)
    requests.conclude()
    return _ERROR.unpack_from(answer, HEADER_SIZE)[0] in _REFUSED
