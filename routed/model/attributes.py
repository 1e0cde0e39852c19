"""The words that an object says in attributes of their own: one row a word.

A row has the word of ``ip``, the attribute of the kernel, how its content is written, and the sentence that editors and
the reference page show. Schema, page, conversion, export, plan and JSON follow from it: to add a word is to add a row.

What an attribute holds stays as the kernel has it, in ``extra`` of its object, so what says no such word costs nothing.
Here must never live what words mean together (``intent.checks``), or which packets they select (``core.rules``).
Sources: include/uapi/linux/rtnetlink.h, fib_rules.h; units and names as iproute2 has them.
"""

# ruff: noqa: RUF001  the reference page writes ranges with a dash
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple

from routed.model.net import FAMILIES, IPV4, IPV6

UINT32: Final = 0xFFFFFFFF

# --- attributes as bytes --------------------------------------------------------------------------------------------

_HEAD: Final = Struct("=HH")  # struct nlattr: length with this head, number


def split(extra: bytes) -> dict[int, bytes]:
    """Number → content of what ``join`` made."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _HEAD.size <= len(extra):
        length, number = _HEAD.unpack_from(extra, at)
        if length < _HEAD.size:
            break
        found[number] = extra[at + _HEAD.size : at + length]
        at += (length + 3) & ~3
    return found


def join(attributes: Mapping[int, bytes]) -> bytes:
    """Attributes sorted by number and packed as the kernel packs them: equal sets give equal bytes."""
    return b"".join(
        _HEAD.pack(len(content) + _HEAD.size, number) + content + bytes(-len(content) % 4)
        for number, content in sorted(attributes.items())
    )


# --- metrics of a route ---------------------------------------------------------------------------------------------


class MetricForm(NamedTuple):
    """How a metric is written. Both take its row."""

    pack: Callable[[Any, Any], int | str]  # what the file says → what the kernel holds
    show: Callable[[Any, Any], Any]  # the way back


FEATURES: Final = {"ecn": 1, "tcp_usec_ts": 16}  # RTAX_FEATURE_*, as far as anything comes of them

NUMBER: Final = MetricForm(lambda _, number: int(number), lambda _, number: number)
FLAG: Final = MetricForm(lambda _, flag: int(flag), lambda _, number: number)
NAME: Final = MetricForm(lambda _, name: str(name), lambda _, name: name)
TIME: Final = MetricForm(
    lambda row, seconds: round(seconds * 1000 * row.scale), lambda row, number: _show_time(number / row.scale)
)
LIST: Final = MetricForm(
    lambda _, words: sum(FEATURES[word] for word in set(words)),
    lambda _, number: [word for word, bit in FEATURES.items() if number & bit] + _list_unnamed(number),
)


def _show_time(milliseconds: float) -> str:
    return f"{milliseconds:.12g}ms" if milliseconds < 1000 else f"{milliseconds / 1000:.12g}s"


def _list_unnamed(number: int) -> list[str]:
    rest = number & ~sum(FEATURES.values())
    return [f"0x{rest:x}"] if rest else []


class Metric(NamedTuple):
    """One row: RTAX_*, within RTA_METRICS."""

    name: str
    number: int
    takes: str  # what may stand there, for a person
    meaning: str
    form: MetricForm = NUMBER
    maximum: int = UINT32
    scale: int = 1  # of a time: what the kernel counts in one millisecond
    is_locked: bool = False  # does it come with its lock, without which the kernel does nothing with it?


METRIC_WORDS: Final = (
    Metric("mtu", 2, "1–65520", "Path MTU in bytes.", maximum=65520),
    Metric("advmss", 8, "1–65495", "Advertised TCP MSS in bytes.", maximum=65495),
    Metric("initcwnd", 11, "number", "Initial TCP congestion window in segments."),
    Metric("initrwnd", 14, "number", "Initial TCP receive window in segments."),
    Metric("congctl", 16, "name", "TCP congestion control algorithm.", NAME),
    Metric("window", 3, "number", "Largest TCP window to advertise, in bytes."),
    Metric("cwnd", 7, "number", "Clamp for the TCP congestion window; only with its lock."),
    Metric("ssthresh", 6, "number", "Initial TCP slow start threshold."),
    Metric("reordering", 9, "number", "Largest reordering on the path before loss is assumed."),
    Metric("hoplimit", 10, "1–255", "Hop limit of packets sent.", maximum=255),
    Metric("rtt", 4, "duration", "First guess of the TCP round trip time.", TIME, scale=8),
    Metric("rttvar", 5, "duration", "First guess of how far TCP round trip times vary.", TIME, scale=4),
    Metric("rto_min", 13, "duration", "Shortest TCP retransmission timeout.", TIME, is_locked=True),
    Metric("features", 12, 'array of `"ecn"`, `"tcp_usec_ts"`', "What TCP offers on this route.", LIST),
    Metric("quickack", 15, "boolean", "Acknowledge at once.", FLAG),
    Metric("fastopen_no_cookie", 17, "boolean", "TCP fast open without a cookie.", FLAG),
)
METRICS: Final = {row.name: row.number for row in METRIC_WORDS}
METRIC_OF: Final = {row.number: row for row in METRIC_WORDS}


def show_metric(number: int, setting: int | str) -> tuple[str, Any]:
    """The word of a metric and how it is written; ``metric23`` where it has none."""
    row = METRIC_OF.get(number)
    return (row.name, row.form.show(row, setting)) if row else (f"metric{number}", setting)


# --- attributes of rules, routes and next hops ----------------------------------------------------------------------


ShownWord = str | int | dict[str, Any]


class WordForm(NamedTuple):
    """How the content of attributes is written. All but the last take the row."""

    pack: Callable[[Any, Any], Mapping[int, bytes]]  # what the file says → the attributes
    show: Callable[[Any, Mapping[int, bytes]], ShownWord | None]  # the way back; None for what the file has no word for
    format: Callable[[Any], list[str]] = lambda shown: [str(shown)]


class Word(NamedTuple):
    """One row."""

    name: str
    number: int  # of its attribute
    layout: Struct
    form: WordForm
    takes: str  # what may stand there, for a person
    meaning: str
    families: tuple[int, ...] = FAMILIES
    mask: int = 0  # the attribute that has its mask
    tag: int = 0  # the attribute that says of which kind its content is
    maximum: int = UINT32
    choices: Mapping[str, int] = {}
    unsaid: str = ""  # the choice that no attribute stands for
    is_mask_told: bool = False  # does the kernel want the mask of a number whose every bit counts?
    # Numbers of attributes whose absence an old kernel passes over without a word, so that it has to be asked whether
    # it knows them, and the release that brought each
    since: Mapping[int, str] = {}

    @property
    def numbers(self) -> tuple[int, ...]:
        """All attributes that it is said in."""
        return (self.number, *(number for number in (self.mask, self.tag) if number))

    def pack(self, value: Any) -> Mapping[int, bytes]:
        """The attributes of what the file says."""
        return self.form.pack(self, value)

    def show(self, attributes: Mapping[int, bytes]) -> ShownWord | None:
        """What the file says for these attributes; None where it says nothing, or has no word for it."""
        return self.form.show(self, attributes) if self.number in attributes else None

    def read(self, attributes: Mapping[int, bytes]) -> tuple[int, int]:
        """A number and its mask."""
        (number,) = self.layout.unpack(attributes[self.number])
        (mask,) = self.layout.unpack(attributes[self.mask]) if self.mask in attributes else (self.maximum,)
        return number, mask


def _pack_masked(row: Word, value: tuple[int, int]) -> Mapping[int, bytes]:
    number, mask = value
    attributes = {row.number: row.layout.pack(number)}
    if mask == row.maximum and not row.is_mask_told:
        return attributes
    return attributes | {row.mask: row.layout.pack(mask)}


def _show_masked(row: Word, attributes: Mapping[int, bytes]) -> str | int:
    number, mask = row.read(attributes)
    text = f"0x{number:x}" if row.maximum > 0xFF else str(number)
    if mask != row.maximum:
        return f"{text}/0x{mask:x}"
    return text if row.maximum > 0xFF else number


def _show_realms(row: Word, attributes: Mapping[int, bytes]) -> str | int:
    (both,) = row.layout.unpack(attributes[row.number])
    return f"{both >> 16}/{both & 0xFFFF}" if both >> 16 else both


def _show_choice(row: Word, attributes: Mapping[int, bytes]) -> str:
    (number,) = row.layout.unpack(attributes[row.number])
    return next((word for word, one in row.choices.items() if one == number), str(number))


def _pack_encap(row: Word, said: Any) -> Mapping[int, bytes]:
    from routed.model import encap  # noqa: PLC0415  only who has one pays for it

    type_, attributes = encap.pack(said)
    return {row.tag: type_, row.number: attributes}


def _show_encap(row: Word, attributes: Mapping[int, bytes]) -> dict[str, Any] | None:
    from routed.model import encap  # noqa: PLC0415

    said = encap.show(attributes.get(row.tag, b""), attributes[row.number])
    return None if said is None else encap.write(said)


def _format_encap(shown: dict[str, Any]) -> list[str]:
    from routed.model import encap  # noqa: PLC0415

    return encap.format_words(shown)


MASKED: Final = WordForm(_pack_masked, _show_masked)
REALMS: Final = WordForm(lambda row, value: {row.number: row.layout.pack(value[0] << 16 | value[1])}, _show_realms)
CHOICE: Final = WordForm(
    lambda row, word: {} if word == row.unsaid else {row.number: row.layout.pack(row.choices[word])}, _show_choice
)

ENCAPSULATION: Final = WordForm(_pack_encap, _show_encap, _format_encap)

_U8, _U32, _BE32 = Struct("=B"), Struct("=I"), Struct(">I")

DSCP: Final = Word(
    "dscp", 25, _U8, MASKED, '0–63, `"8/0x38"`, name of rt_dsfield',
    "DSCP of the packet, with a mask if need be; not beside `tos`. Linux 6.13, with a mask 6.16.",
    mask=30, maximum=0x3F, since={25: "6.13", 30: "6.16"},
)  # fmt: skip
FLOWLABEL: Final = Word(
    "flowlabel", 26, _BE32, MASKED, 'number, `"0x300/0xff00"`',
    "Flow label of the packet, with a mask if need be; IPv6 only. Linux 6.14.",
    (IPV6,), mask=27, maximum=0xFFFFF, is_mask_told=True, since={26: "6.14"},
)  # fmt: skip
# What of a rule is part of its key, …
RULE_WORDS: Final = (DSCP, FLOWLABEL)
# … and what is not.
RULE_VALUE_WORDS: Final = (
    Word(
        "realms", 11, _U32, REALMS, '1–65535, `"1/2"`',
        "Realms of the packets, source and destination, in place of those of the route; IPv4 only.", (IPV4,),
    ),
)  # fmt: skip
ROUTE_WORDS: Final = (
    Word(
        "pref", 20, _U8, CHOICE, '`"low"`, `"medium"`, `"high"`',
        "Preference among default routers, as router advertisements have it; IPv6 only.",
        (IPV6,), choices={"low": 3, "medium": 0, "high": 1}, unsaid="medium",
    ),
)  # fmt: skip
ENCAP: Final = Word(
    "encap", 22, Struct(""), ENCAPSULATION, "table",
    "What is put around the packets, in the words of `ip route`.", tag=21,
)  # fmt: skip
REALMS_OF_HOP: Final = Word(
    "realms", 11, _U32, REALMS, '1–65535, `"1/2"`',
    "Realms of packets on this route, source and destination; IPv4 only.", (IPV4,),
)  # fmt: skip
HOP_WORDS: Final = (ENCAP, REALMS_OF_HOP)
NEXTHOP_WORDS: Final = (ENCAP._replace(number=8, tag=7),)

# The mask of a port is written behind it: ``sport = "0x50/0xfff0"``.
SPORT_MASK: Final = 28
DPORT_MASK: Final = 29
PORT_MASKS: Final = {"sport": SPORT_MASK, "dport": DPORT_MASK}
WHOLE_PORT: Final = 0xFFFF
_PORT: Final = Struct("=H")

# Attributes of rules that old kernels pass over in silence: number → (word, release)
SINCE: Final = {
    **{
        number: (f"{row.name} with a mask" if number == row.mask else row.name, release)
        for row in RULE_WORDS
        for number, release in row.since.items()
    },
    **{number: (f"{word} with a mask", "6.15") for word, number in PORT_MASKS.items()},
}

_KNOWN_OF_RULES: Final = frozenset([*(number for row in RULE_WORDS for number in row.numbers), *PORT_MASKS.values()])


def list_words(rows: Iterable[Word], extra: bytes) -> Iterator[tuple[str, ShownWord]]:
    """The words of these attributes, with what they say."""
    if extra:
        attributes = split(extra)
        for row in rows:
            shown = row.show(attributes)
            if shown is not None:
                yield row.name, shown


def format_words(rows: Iterable[Word], extra: bytes) -> list[str]:
    """The same, as ``ip`` has them."""
    forms = {row.name: row.form for row in rows}
    return [one for word, shown in list_words(rows, extra) for one in (word, *forms[word].format(shown))]


def has_more(rows: Iterable[Word], extra: bytes) -> bool:
    """Is there something among these attributes that no row has a word for?"""
    if not extra:
        return False
    attributes = split(extra)
    said = {number for row in rows if row.show(attributes) is not None for number in row.numbers}
    return not attributes.keys() <= said


def has_more_than_a_rule(extra: bytes) -> bool:
    """The same of the key of a rule, whose ports have their masks there."""
    return bool(extra) and not split(extra).keys() <= _KNOWN_OF_RULES


def pack_port_mask(word: str, mask: int) -> Mapping[int, bytes]:
    """The attribute of a mask of ports; none where every bit counts."""
    return {} if mask == WHOLE_PORT else {PORT_MASKS[word]: _PORT.pack(mask)}


def find_port_mask(word: str, extra: bytes) -> int:
    """The mask of the ports of a rule."""
    content = split(extra).get(PORT_MASKS[word]) if extra else None
    return WHOLE_PORT if content is None else int(_PORT.unpack(content)[0])
