"""UDP and DNS: does the datagram get its answer?

DNS: the form of RFC 1035, of which a check needs the head and one question.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from struct import Struct
from typing import Final

from routed.model.checks import Check, CheckType, Target
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError
from routed.probes.sockets import Path, endpoint, open_socket

MOST: Final = 65536
RECORDS: Final = {"A": 1, "NS": 2, "SOA": 6, "TXT": 16, "AAAA": 28, "SRV": 33}
CODES: Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_HEAD: Final = Struct("!6H")
_RECURSE: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_INTERNET: Final = 1


async def probe(check: Check, target: Target, path: Path) -> None:
    """Ask once. Raises BadAnswerError and OSError."""
    loop = asyncio.get_running_loop()
    with open_socket(target.address, socket.SOCK_DGRAM, path) as one:
        one.connect(endpoint(target.address, target.port, path))
        question = make_question(check) if check.type is CheckType.DNS else check.send.encode()
        one.send(question)
        while True:
            answer = await loop.sock_recv(one, MOST)
            if check.type is not CheckType.DNS:
                if check.expect.encode() not in answer:
                    raise BadAnswerError(Finding.UNEXPECTED, check.expect)
                return
            if answer[:2] == question[:2]:  # else it is the answer to an older question
                judge_answer(check, question, answer)
                return


def make_question(check: Check) -> bytes:
    """One question, under a number that nobody guesses."""
    labels = [label.encode() for label in check.query.removesuffix(".").split(".")]
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    head = _HEAD.pack(secrets.randbits(16), _RECURSE, 1, 0, 0, 0)
    return head + name + RECORDS[check.record].to_bytes(2, "big") + _INTERNET.to_bytes(2, "big")


def judge_answer(check: Check, question: bytes, answer: bytes) -> None:
    """Is it an answer to this question, with at least one record? Raises BadAnswerError."""
    if len(answer) < _HEAD.size:
        raise BadAnswerError(Finding.MALFORMED, f"{len(answer)} bytes")
    _, flags, _, records, _, _ = _HEAD.unpack_from(answer)
    asked = question[_HEAD.size :]
    if not flags & _IS_ANSWER or answer[_HEAD.size : _HEAD.size + len(asked)].lower() != asked.lower():
        raise BadAnswerError(Finding.MALFORMED, "it repeats another question")
    if code := flags & 0xF:
        raise BadAnswerError(Finding.NO_RECORD, CODES.get(code, f"code {code}"))
    if not records:
        raise BadAnswerError(Finding.NO_RECORD, f"no {check.record} of {check.query}")
