"""The tap: requests by which others change IPVS, seen on their way to the kernel, since IPVS itself tells of nothing.

A link of the kind nlmon shows all of netlink in its network namespace, and a filter leaves of it what is worth waking
up for. A request is seen before the kernel carries it out, and whether it did is not seen: it says where to look, and
who asked. What is never seen: what is asked for by setsockopt(2), as an ``ipvsadm`` without libnl does, and what is
asked for in other network namespaces.

Here must never live: a reply to a request, or an answer of the kernel.
Sources: drivers/net/nlmon.c; netlink_deliver_tap in net/netlink/af_netlink.c; packet_rcv in net/packet/af_packet.c;
packet(7).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EAFNOSUPPORT, EEXIST, ENODEV, EOPNOTSUPP, EPERM
from os import strerror
from struct import Struct
from typing import Final

from routed.kernel import filters, sockets
from routed.kernel.codec import messages
from routed.kernel.codec.attributes import (
    ACK,
    CREATE,
    ERROR,
    EXCLUSIVE,
    HEADER,
    HEADER_SIZE,
    REQUEST,
    MalformedMessage,
    message,
)
from routed.kernel.codec.link import (
    encode_link,
    encode_link_change,
    encode_link_question,
    encode_link_removal,
    read_maker,
)
from routed.kernel.ipvs import codec
from routed.kernel.ipvs.connection import MARK, PID_BITS
from routed.kernel.processes import INIT
from routed.kernel.requests import RequestSocket
from routed.model.events import KERNEL, RequestEvent, Touched
from routed.model.ipvs import ServiceSlot
from routed.model.names import ALIAS
from routed.model.objects import Key, Kind, LinkMember, LinkSlot, LinkValue
from routed.model.reasons import Deed

KIND: Final = "nlmon"
_FLUSH: Final = 17  # IPVS_CMD_FLUSH
_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_ETH_P_ALL: Final = 3
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_STATISTICS: Final = Struct("=II")  # struct tpacket_stats: packets, drops; of those since the last question
_BUFFER: Final = 4 << 20  # bytes; a request takes about a thousand of them
_DATAGRAM: Final = 1 << 16  # bytes
_DRAIN: Final = 1024  # datagrams at a time, so that a storm cannot keep the caller from everything else
_PID: Final = (1 << PID_BITS) - 1
_result: Final = Struct("=i").unpack_from

_CURES: Final = {
    EOPNOTSUPP: "this kernel has no links of the kind nlmon (CONFIG_NLMON)",
    EPERM: "it takes CAP_NET_ADMIN and CAP_NET_RAW",
    EAFNOSUPPORT: "RestrictAddressFamilies= of the unit must have AF_PACKET",
}
EVERYTHING: Final = (Touched(Kind.SERVICE), Touched(Kind.SERVER))
MOST: Final = 256  # requests that are read at a time; where there are more, it is not read what they say
_ANYTHING: Final = RequestEvent(EVERYTHING, None, Deed.CHANGED, KERNEL)


def name_link(protocol: int) -> str:
    """The name of the link of the daemon with this protocol number."""
    return f"routed-tap-{protocol}"


class Tap:
    """Hears of requests to IPVS in the network namespace of the thread that makes it.

    Raises OSError, with words for a person, where that cannot be. What a daemon left that was killed is used again.
    """

    def __init__(self, protocol: int) -> None:
        """It hears nothing yet: see ``follow``."""
        self.link = name_link(protocol)
        self._member = LinkMember(self.link)
        self._value = LinkValue(protocol, KIND, is_up=True)
        self._family = 0
        self._buffer = memoryview(bytearray(_DATAGRAM))
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise _explain(error) from None
        try:
            self.follow(0)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            with RequestSocket(_DATAGRAM) as requests:
                self._make_link(requests)
            self._socket.bind((self.link, _ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise _explain(error) from None

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more, and take the link away."""
        self._socket.close()
        with suppress(OSError), RequestSocket(_DATAGRAM) as requests:
            if self._is_ours(requests):
                _change(requests, _DEL_LINK, 0, encode_link_removal(LinkSlot(), self._member, self._value))

    def follow(self, family: int) -> None:
        """The genl family IPVS has this id from now on, another one each time its module is loaded; 0 for none."""
        self._family = family
        program = filters.keep_requests(sockets.GENERIC, family, _READERS, MARK) if family else filters.keep_nothing()
        filters.attach(self._socket, program)

    def read(self) -> list[RequestEvent]:
        """What was asked for since, a limited number at a time; never blocks. What was lost counts as everything.

        Raises OSError where nothing will be heard any more: the link went down, or is gone.
        """
        events: list[RequestEvent] = []
        for _ in range(_DRAIN):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:
                raise OSError(error.errno, f"the link {self.link} is down, or was deleted") from None
            events += read_requests(self._buffer[:size].tobytes(), self._family, MOST - len(events))
            if len(events) >= MOST:  # anybody may ask, also who may not change anything: it must cost us little
                return [_ANYTHING]
        _, lost = _STATISTICS.unpack(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))
        if lost:
            events.append(_ANYTHING)
        return events

    def _make_link(self, requests: RequestSocket) -> None:
        value = self._value._replace(is_up=False)
        try:
            _change(requests, _NEW_LINK, CREATE | EXCLUSIVE, encode_link(LinkSlot(), self._member, value))
        except FileExistsError:  # of one that was killed?
            if not self._is_ours(requests):
                raise OSError(EEXIST, f"there is a link {self.link} of somebody else") from None
        _change(requests, _NEW_LINK, 0, encode_link_change(LinkSlot(), self._member, self._value))

    def _is_ours(self, requests: RequestSocket) -> bool:
        """By kind and alias. One without an alias that was never up is one whose maker was killed in between."""
        found = _ask(requests, _GET_LINK, 0, encode_link_question(self._member))
        kind, alias, is_up = read_maker(found)
        return kind == KIND and (alias == f"{ALIAS}{self._value.protocol}" or not (alias or is_up))


def read_requests(datagram: bytes, family: int, most: int = MOST) -> list[RequestEvent]:
    """The first requests in a datagram by which others change IPVS; what cannot be read counts as everything."""
    events: list[RequestEvent] = []
    for type_, _, start, end in messages(datagram):
        if len(events) >= most:
            break
        *_, flags, _, port = HEADER.unpack_from(datagram, start)
        if type_ != family or not flags & REQUEST or port == MARK or end - start <= HEADER_SIZE:
            continue
        deed, read = _READERS.get(datagram[start + HEADER_SIZE], (None, _read_nothing))
        if deed is None:
            continue
        try:
            touched, under = read(datagram, start, end)
        except MalformedMessage:
            touched, under = EVERYTHING, None
        pid = port & _PID
        events.append(RequestEvent(touched, under, deed, pid if pid > INIT else KERNEL))  # INIT: of some container
    return events


_Asked = tuple[tuple[Touched, ...], Key | None]
_ReadAsked = Callable[[bytes, int, int], _Asked]


def _read_nothing(_data: bytes, _start: int, _end: int) -> _Asked:
    return (), None


def _read_everything(_data: bytes, _start: int, _end: int) -> _Asked:
    return EVERYTHING, None


def _read_service(data: bytes, start: int, end: int) -> _Asked:
    place = codec.decode_service_key(codec.open_service(data, start, end))
    key = Key(Kind.SERVICE, ServiceSlot(place.family), place.service)
    return (Touched(*key),), key


def _read_service_with_servers(data: bytes, start: int, end: int) -> _Asked:
    place = codec.decode_service_key(codec.open_service(data, start, end))
    key = Key(Kind.SERVICE, ServiceSlot(place.family), place.service)
    return (Touched(*key), Touched(Kind.SERVER, place)), key


def _read_server(data: bytes, start: int, end: int) -> _Asked:
    place = codec.decode_service_key(codec.open_service(data, start, end))
    member = codec.decode_server_key(codec.open_server(data, start, end), place.family)
    key = Key(Kind.SERVICE, ServiceSlot(place.family), place.service)
    return (Touched(Kind.SERVER, place, member),), key


# What counts, ZERO (16), changes nothing that anybody wants.
_READERS: Final[dict[int, tuple[Deed, _ReadAsked]]] = {
    codec.NEW_SERVICE: (Deed.ADDED, _read_service),
    codec.SET_SERVICE: (Deed.CHANGED, _read_service),
    codec.DEL_SERVICE: (Deed.DELETED, _read_service_with_servers),
    codec.NEW_DEST: (Deed.ADDED, _read_server),
    codec.SET_DEST: (Deed.CHANGED, _read_server),
    codec.DEL_DEST: (Deed.DELETED, _read_server),
    codec.SET_CONFIG: (Deed.CHANGED, _read_nothing),
    _FLUSH: (Deed.DELETED, _read_everything),
}


def _change(requests: RequestSocket, type_: int, flags: int, body: bytes) -> None:
    _ask(requests, type_, flags | ACK, body)


def _ask(requests: RequestSocket, type_: int, flags: int, body: bytes) -> bytes:
    """The answer to a question about a link, from its netlink header on."""
    number = requests.take_numbers(1)
    requests.ask(message(type_, REQUEST | flags, number, body))
    answer = requests.receive(_DATAGRAM, number)
    requests.conclude()
    for answered, _, start, _ in messages(answer):
        if answered == ERROR and (error := -_result(answer, start + HEADER_SIZE)[0]):
            raise OSError(error, strerror(error))
    return answer


def _explain(error: OSError) -> OSError:
    said = error.strerror or str(error)
    cure = _CURES.get(error.errno or 0)
    return OSError(error.errno or ENODEV, f"{said}: {cure}" if cure else said)
