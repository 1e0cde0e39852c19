"""A route that went, read from the bytes of the event, and the request that puts it back, ready-made.

After hours at rest nothing of a program is in a cache any more, so that what counts is how little of it has to run.
Routes that are alike but for their prefix share what is kept here: their shape, what it says, and a request into which
a prefix is laid.

Here must never live: whether a route is to be put back (``daemon.reflex``).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from routed.kernel.codec import CODECS, MalformedMessage
from routed.kernel.codec.attributes import HEADER
from routed.kernel.codec.route import DST_AT, DST_LEN_AT, FAMILY_AT, RouteDecoder, is_usual
from routed.model.change import Verb
from routed.model.events import Loss
from routed.model.net import ADDRESS_LENGTH
from routed.model.objects import Kind, Member, RouteSlot, Value

_DEL_ROUTE: Final = 25
_SEQUENCE: Final = Struct("=I")
_SEQUENCE_AT: Final = 8
_MOST: Final = 1024  # shapes; beyond that they are learned anew


class _Learned(NamedTuple):
    """What the routes of one shape have in common."""

    slot: RouteSlot
    value: Value
    request: bytearray  # that puts one of them


class RouteReflex:
    """Reads the events of routes that went, and makes the requests that put them back."""

    def __init__(self, decoder: RouteDecoder) -> None:
        self._decoder = decoder
        self._learned: dict[bytes, _Learned] = {}
        self._request = bytearray()  # for what was read last

    def read(self, datagram: bytes, is_simple: Callable[[Kind, Member, Value], bool]) -> Loss | None:
        """The simple route that this tells the end of, and nothing else; None where it tells something else."""
        size = len(datagram)
        if size <= DST_AT:
            return None
        length, type_, _, _, port = HEADER.unpack_from(datagram)
        width = ADDRESS_LENGTH.get(datagram[FAMILY_AT])
        if type_ != _DEL_ROUTE or length != size or width is None:
            return None
        rest = DST_AT + width
        shape = datagram[FAMILY_AT : FAMILY_AT + 1] + datagram[DST_LEN_AT + 1 : DST_AT] + datagram[rest:]
        learned = self._learned.get(shape) or self._learn(shape, datagram, width, is_simple)
        if learned is None:
            return None
        self._request = learned.request
        return Loss(
            Kind.ROUTE, learned.slot, datagram[DST_AT:rest] + datagram[DST_LEN_AT : DST_LEN_AT + 1], learned.value, port
        )

    def make_request(self, loss: Loss, number: int) -> bytearray:
        """The request with this sequence number that puts it back as it was: what ``read`` read last."""
        request, prefix = self._request, loss.member
        _SEQUENCE.pack_into(request, _SEQUENCE_AT, number)
        request[DST_LEN_AT] = prefix[-1]
        request[DST_AT : DST_AT + len(prefix) - 1] = prefix[:-1]
        return request

    def _learn(
        self, shape: bytes, datagram: bytes, width: int, is_simple: Callable[[Kind, Member, Value], bool]
    ) -> _Learned | None:
        if not is_usual(datagram, 0, len(datagram), width):
            return None
        try:
            route = self._decoder.decode(datagram, 0, len(datagram))
        except MalformedMessage:
            return None
        if route is None or not is_simple(Kind.ROUTE, route.member, route.value):
            return None
        assert isinstance(route.slot, RouteSlot)
        codec = CODECS[Kind.ROUTE]
        [step] = codec.steps[Verb.ADD]
        request = bytearray(codec.requests(codec.new, step.flags, route.slot, route.value, [route.member], 0))
        if len(self._learned) >= _MOST:
            self._learned.clear()
        learned = self._learned[shape] = _Learned(route.slot, route.value, request)
        return learned
