"""Encapsulations: what is put around the packets of a route, in the words of ``ip route … encap``.

One row an encapsulation, in it one row an attribute. Imported where a route or a next hop has one. What is shown is
what would be packed into the same attributes again: all else (eBPF programs, HMACs, counters) has no word.
Sources: include/uapi/linux/lwtunnel.h, mpls_iptunnel.h, seg6.h, seg6_iptunnel.h, seg6_local.h; words as iproute2 has
them (ip/iproute_lwtunnel.c).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import EINVAL, ENODEV, EOPNOTSUPP, EPERM
from struct import Struct, error
from typing import Any, Final, NamedTuple

from routed.model.attributes import join, split
from routed.model.net import ADDRESS_LENGTH, FAMILIES, IPV4, IPV6, format_address

SaidEncap = Mapping[str, Any]  # addresses packed, labels as a tuple of numbers


class EncapPart(NamedTuple):
    """One attribute."""

    number: int
    words: tuple[str, ...]
    pack: Callable[[SaidEncap], bytes]  # what the file says → its content; b"" for none
    # the way back, without what goes without saying. Raises ValueError, struct.error
    show: Callable[[bytes], SaidEncap]


class Encap(NamedTuple):
    """One row."""

    name: str
    number: int  # LWTUNNEL_ENCAP_*
    parts: tuple[EncapPart, ...]
    lack: str  # what a kernel without it lacks
    needs: tuple[str, ...] = ()
    families: tuple[int, ...] = FAMILIES  # of the routes

    @property
    def words(self) -> tuple[str, ...]:
        """All that can be said of it."""
        return tuple(word for part in self.parts for word in part.words)


# --- attributes ------------------------------------------------------------------------------------------------------

_U8, _U32, _BE64, _BE16 = Struct("=B"), Struct("=I"), Struct(">Q"), Struct(">H")


def _number(word: str, number: int, layout: Struct, usual: int | None = None) -> EncapPart:
    """``usual`` is what the kernel has where nothing is said; None: no attribute."""

    def pack(said: SaidEncap) -> bytes:
        value = said.get(word, usual)
        return b"" if value is None else layout.pack(value)

    def show(content: bytes) -> SaidEncap:
        (value,) = layout.unpack(content)
        return {} if value == usual else {word: value}

    return EncapPart(number, (word,), pack, show)


def _address(word: str, number: int, width: int, *, is_always: bool) -> EncapPart:
    """``is_always``: the kernel has zeros where nothing is said."""
    usual = bytes(width) if is_always else b""
    return EncapPart(
        number,
        (word,),
        lambda said: said.get(word, usual),
        lambda content: {} if content == usual else {word: content},
    )


_FLAGS: Final = {"csum": 0x1, "key": 0x4, "seq": 0x8}  # TUNNEL_*


def _flags(number: int) -> EncapPart:
    def show(content: bytes) -> SaidEncap:
        (flags,) = _BE16.unpack(content)
        return {word: True for word, bit in _FLAGS.items() if flags & bit}

    return EncapPart(
        number, tuple(_FLAGS), lambda said: _BE16.pack(sum(bit for word, bit in _FLAGS.items() if word in said)), show
    )


# --- MPLS: entries of 32 bits, label, class, bottom of the stack, TTL ------------------------------------------------

_ENTRY: Final = Struct(">I")
_LABEL_SHIFT: Final = 12
_BOTTOM: Final = 0x100
MAXIMUM_LABEL: Final = 0xFFFFF
MAXIMUM_LABELS: Final = 30  # MAX_NEW_LABELS, net/mpls/internal.h


def _pack_labels(said: SaidEncap) -> bytes:
    labels = said["labels"]
    stack = bytearray(b"".join(_ENTRY.pack(label << _LABEL_SHIFT) for label in labels))
    _ENTRY.pack_into(stack, len(stack) - _ENTRY.size, labels[-1] << _LABEL_SHIFT | _BOTTOM)
    return bytes(stack)


def _show_labels(content: bytes) -> SaidEncap:
    return {"labels": tuple(entry >> _LABEL_SHIFT for (entry,) in _ENTRY.iter_unpack(content))}


# --- SRv6: a routing header with its segments, the last one first ----------------------------------------------------

MODES: Final = {"inline": 0, "encap": 1, "l2encap": 2, "encap.red": 3, "l2encap.red": 4}
INLINE: Final = "inline"
_SRH: Final = Struct("=iBBBBBBH")  # mode; next header, length, type, segments left, last entry, flags, tag
_SRH_TYPE: Final = 4
_WIDTH: Final = ADDRESS_LENGTH[IPV6]
_TARGET: Final = bytes(_WIDTH)  # stands for the packet's own destination, which inline keeps as the last segment
MAXIMUM_SEGMENTS: Final = 126  # the header counts its length in eight bytes, and in one byte


def _pack_segments(said: SaidEncap) -> bytes:
    mode = said.get("mode", "encap")
    segments = [*said["segs"], *([_TARGET] if mode == INLINE else [])]
    last = len(segments) - 1
    head = _SRH.pack(MODES[mode], 0, len(segments) * _WIDTH // 8, _SRH_TYPE, last, last, 0, 0)
    return head + b"".join(reversed(segments))


def _show_segments(content: bytes) -> SaidEncap:
    mode = next(word for word, number in MODES.items() if number == _SRH.unpack_from(content)[0])
    segments = [content[at : at + _WIDTH] for at in range(_SRH.size, len(content), _WIDTH)][::-1]
    return {"mode": mode, "segs": segments[:-1] if mode == INLINE else segments}


# --- SRv6: what an own segment does ----------------------------------------------------------------------------------


class SegmentAction(NamedTuple):
    """What is done to packets for a segment of this host, and which words say how: of a row, one."""

    number: int  # SEG6_LOCAL_ACTION_*
    needs: tuple[tuple[str, ...], ...] = ()


ACTIONS: Final = {
    "End": SegmentAction(1),
    "End.X": SegmentAction(2, (("nh6",),)),
    "End.T": SegmentAction(3, (("table",),)),
    "End.DX6": SegmentAction(5, (("nh6",),)),
    "End.DX4": SegmentAction(6, (("nh4",),)),
    "End.DT6": SegmentAction(7, (("table", "vrftable"),)),
    "End.DT4": SegmentAction(8, (("vrftable",),)),
    "End.DT46": SegmentAction(16, (("vrftable",),)),
}


def _show_action(content: bytes) -> SaidEncap:
    (number,) = _U32.unpack(content)
    return {"action": next(word for word, action in ACTIONS.items() if action.number == number)}


# --- the rows --------------------------------------------------------------------------------------------------------


def _tunnel(family: int, class_word: str, hops_word: str) -> tuple[EncapPart, ...]:
    """LWTUNNEL_IP_* and LWTUNNEL_IP6_*, which have the same numbers."""
    width = ADDRESS_LENGTH[family]
    return (
        _number("id", 1, _BE64, 0),
        _address("dst", 2, width, is_always=True),
        _address("src", 3, width, is_always=True),
        _number(hops_word, 4, _U8, 0),
        _number(class_word, 5, _U8, 0),
        _flags(6),
    )


_SEG6: Final = "the kernel lacks CONFIG_IPV6_SEG6_LWTUNNEL"

ENCAPS: Final = {
    row.name: row
    for row in (
        Encap(
            "mpls", 1, (EncapPart(1, ("labels",), _pack_labels, _show_labels), _number("ttl", 2, _U8)),
            "its module mpls_iptunnel is not there", ("labels",),
        ),
        Encap("ip", 2, _tunnel(IPV4, "tos", "ttl"), "the kernel lacks CONFIG_LWTUNNEL"),
        Encap("ip6", 4, _tunnel(IPV6, "tc", "hoplimit"), "the kernel lacks CONFIG_LWTUNNEL"),
        Encap("seg6", 5, (EncapPart(1, ("mode", "segs"), _pack_segments, _show_segments),), _SEG6, ("segs",)),
        Encap(
            "seg6local", 7,
            (
                EncapPart(1, ("action",), lambda said: _U32.pack(ACTIONS[said["action"]].number), _show_action),
                _number("table", 3, _U32),
                _address("nh4", 4, ADDRESS_LENGTH[IPV4], is_always=False),
                _address("nh6", 5, ADDRESS_LENGTH[IPV6], is_always=False),
                _number("vrftable", 9, _U32),
            ),
            _SEG6, ("action",), (IPV6,),
        ),
    )
}  # fmt: skip
_OF_NUMBER: Final = {row.number: row for row in ENCAPS.values()}
_TYPE: Final = Struct("=H")
# Those that the file has no word for, as ``ip`` calls them
_UNSAID: Final = {3: "ila", 6: "bpf", 8: "rpl", 9: "ioam6", 10: "xfrm"}


def pack(said: SaidEncap) -> tuple[bytes, bytes]:
    """The type, and the attributes of what the file says. It has to be whole."""
    row = ENCAPS[said["type"]]
    contents = ((part.number, part.pack(said)) for part in row.parts)
    return _TYPE.pack(row.number), join({number: content for number, content in contents if content})


def show(type_: bytes, attributes: bytes) -> SaidEncap | None:
    """The way back; None for what cannot be said."""
    try:
        row = _OF_NUMBER[_TYPE.unpack(type_)[0]]
        known = {part.number: part for part in row.parts}
        said: SaidEncap = {"type": row.name}
        for number, content in split(attributes).items():
            said = {**said, **known[number].show(content)}
        return said if pack(said) == (type_, attributes) else None
    except (LookupError, StopIteration, ValueError, error):
        return None


def write(said: SaidEncap) -> dict[str, Any]:
    """As the file has it."""
    return {word: _write(value) for word, value in said.items()}


def _write(value: Any) -> Any:
    if isinstance(value, bytes):
        return format_address(value)
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return [_write(one) for one in value] if isinstance(value, list) else value


_NAMELESS: Final = frozenset({"type", "labels"})  # words that ``ip`` leaves out before what they say


def format_words(written: SaidEncap) -> list[str]:
    """As ``ip`` has it, behind ``encap``."""
    words: list[str] = []
    for word, value in written.items():
        words += [] if word in _NAMELESS else [word]
        words += [] if value is True else [",".join(value)] if isinstance(value, list) else [str(value)]
    return words


def name(type_: bytes) -> str:
    """What ``ip`` calls it: ``encap bpf``."""
    (number,) = _TYPE.unpack(type_) if len(type_) == _TYPE.size else (0,)
    row = _OF_NUMBER.get(number)
    return f"encap {row.name if row else _UNSAID.get(number, number)}"


def explain_refusals(type_: bytes, attributes: bytes) -> Mapping[int, str]:
    """Errno → what the kernel's words about a route with this encapsulation leave open."""
    said = show(type_, attributes)
    if said is None:
        return {}
    hints = {EOPNOTSUPP: f"encap {said['type']}: {ENCAPS[said['type']].lack}"}
    if "vrftable" in said:
        why = f"vrftable {said['vrftable']}: a VRF has to have this table, with sysctl net.vrf.strict_mode = 1"
        hints |= dict.fromkeys((EINVAL, ENODEV, EPERM), why)  # no VRFs at all, none of this table, not strict
    if said.get("mode", "").endswith(".red"):
        hints[EINVAL] = f"mode {said['mode']}: the kernel has it since Linux 6.0"
    return hints
