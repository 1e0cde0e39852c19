"""Words: the single values of the file, from what TOML gives to what the model holds.

Here live pure functions of one value that raise ValueError with a sentence for a person. What a value means together
with its neighbours stands in ``checks``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

from routed.intent.problems import WrongValueError
from routed.model import ipvs, names, net
from routed.model.attributes import WHOLE_PORT
from routed.model.names import ALTNAME_LENGTH, INTERFACE_NAME_LENGTH, IP_PROTOCOLS, SCOPES

T = TypeVar("T")

LONGEST_LINK_ADDRESS: Final = 32  # bytes, MAX_ADDR_LEN of linux/netdevice.h
_HEX: Final = frozenset("0123456789abcdefABCDEF")
UINT32: Final = 0xFFFFFFFF
MAXIMUM_PORT: Final = 65534  # the kernel refuses ranges that end in 65535 (fib_rule_port_range_valid, fib_rules.h)
MAXIMUM_UID: Final = UINT32 - 1  # the last number is "no user" (uid_valid, linux/uidgid.h)
_NOT_IN_A_NAME: Final = frozenset(b"/:\0\t\n\v\f\r \xa0")  # dev_valid_name, whose isspace() knows bytes, not characters
MAXIMUM_REALM: Final = 0xFFFF  # each is half of a number of 32 bits (RTA_FLOW)
CONGCTL_LENGTH: Final = 15  # TCP_CA_NAME_MAX - 1, net/tcp.h

WILDCARD = re.compile(r"[*?]")  # the kernel takes them, and nobody means them
_CREDENTIAL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?", re.ASCII)
MOST_OF_A_COMMAND: Final = 8192
_HTTP_PATH = re.compile(r"/[!-~]*", re.ASCII)
_NEAR: Final = 1e-3  # by which a number that is not written in binary may miss a whole one
_SHORTEST_POLL: Final = 0.1  # seconds
_LONGEST_POLL: Final = 3600.0
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", re.ASCII)
_PROTOCOL_NUMBERS = {name: number for number, name in IP_PROTOCOLS.items()} | {"icmpv6": 58, "udp-lite": 136}


def expects(sort: str) -> Callable[[Callable[[object], T]], Callable[[object], T]]:
    """Have what a parser of values complains of come with a hint: by the rows of ``hints`` that expect this sort."""

    def decorate(parse: Callable[[object], T]) -> Callable[[object], T]:
        @wraps(parse)
        def parse_with_hint(value: object) -> T:
            try:
                return parse(value)
            except ValueError as error:
                from routed.intent.hints import find_hint  # noqa: PLC0415  only who is wrong waits for it

                hint = find_hint(value, {sort}) or getattr(error, "hint", "")
                raise WrongValueError(str(error), hint) from None

        return parse_with_hint

    return decorate


def text_of(value: object, example: str) -> str:
    """The value, which must be a string."""
    if not isinstance(value, str):
        from routed.intent.hints import find_hint  # noqa: PLC0415  only who is wrong waits for it

        raise WrongValueError(f'must be a string such as "{example}"', find_hint(value, {"text"}))
    return value


@expects("name")
def entry_name(value: object) -> str:
    """The name of an entry."""
    name = text_of(value, "storage-lan")
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is not a name: use letters, digits, ".", "_" and "-"')
    return name


def number(text: str, maximum: int, what: str) -> int:
    """A number in text, decimal or ``0x``."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is not {what}')
    return within(int(text, 0) if text[:2] in {"0x", "0X"} else int(text), 0, maximum)


def within(value: int, minimum: int, maximum: int) -> int:
    """The value, which must lie between two bounds, both included."""
    if not minimum <= value <= maximum:
        raise ValueError(f"must be a number from {minimum} to {maximum}")
    return value


def is_integer(value: object) -> bool:
    """Is it an integer of TOML? In Python a boolean would count as one."""
    return isinstance(value, int) and not isinstance(value, bool)


@expects("host")
def address(value: object) -> bytes:
    """A packed address."""
    return net.parse_address(text_of(value, "192.0.2.1"))


@expects("prefix")
def prefix(value: object) -> bytes:
    """A packed prefix; a bare host is a /32 or /128."""
    return net.parse_prefix(text_of(value, "10.30.0.0/16"))


@expects("destination")
def destination(value: object) -> bytes:
    """A packed prefix, or ``b""`` for ``default``, whose family stands elsewhere."""
    return b"" if value == "default" else prefix(value)


@expects("selector")
def selector(value: object) -> bytes:
    """The ``to`` of a rule: a packed prefix, or ``b""`` for ``all``."""
    return b"" if value == "all" else prefix(value)


def source_selector(value: object) -> bytes | str:
    """The ``from`` of a rule: as ``to``, or ``@name``."""
    return reference(value) or selector(value)


@expects("held")
def address_with_length(value: object) -> tuple[bytes, int]:
    """A packed address and its prefix length."""
    text = text_of(value, "10.20.0.11/21")
    head, slash, length = text.partition("/")
    packed = net.parse_address(head)
    width = len(packed) * 8
    if not slash:
        raise ValueError(f'"{text}" has no prefix length: write "{text}/{width}" for the address alone')
    if not (length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= width):
        raise ValueError(f'"{text}": the prefix length must be a number from 0 to {width}')
    return packed, int(length)


@expects("held")
def vip_address(value: object) -> tuple[bytes, int]:
    """Parse as ``address_with_length`` does; without a length the address stands alone."""
    text = text_of(value, "192.0.2.80/32")
    if "/" in text:
        return address_with_length(text)
    packed = net.parse_address(text)
    return packed, len(packed) * 8


def source_address(value: object) -> bytes | str:
    """The ``src`` of a route: a packed address, or ``@name``."""
    return reference(value) or address(value)


def broadcast(value: object) -> bytes | str:
    """A packed address, or ``+`` (all host bits one) or ``-`` (all host bits zero)."""
    return value if value in ("+", "-") else address(value)


@expects("link")
def interface(value: object) -> str:
    """The name of an interface that is made (dev_valid_name, net/core/dev.c)."""
    return _name_interface(value, INTERFACE_NAME_LENGTH, "an interface name")


@expects("link")
def known_interface(value: object) -> str:
    """The name of an interface that is there, or one of its altnames."""
    return _name_interface(value, ALTNAME_LENGTH, "an altname")


def _name_interface(value: object, longest: int, called: str) -> str:
    name = text_of(value, "eth0")
    written = name.encode("utf-8", "surrogatepass")
    if len(written) > longest:
        raise ValueError(f'"{name}" is longer than the {longest} bytes of {called}')
    if not name or name in {".", ".."} or not _NOT_IN_A_NAME.isdisjoint(written) or WILDCARD.search(name):
        raise ValueError(f'"{name}" is not the name of an interface')
    return name


def link(value: object) -> str:
    """The name or an altname of an interface, or ``@name`` of an ``[[interface]]``."""
    return reference(value) or known_interface(value)


def reference(value: object) -> str:
    """The value if it is ``@name``, otherwise ``""``."""
    if not isinstance(value, str) or not value.startswith("@"):
        return ""
    if not _NAME.fullmatch(value[1:]):
        raise ValueError(f'"{value}" is not the name of an [[interface]]: use letters, digits, ".", "_" and "-"')
    return value


def label(value: object) -> str:
    """The label of an IPv4 address (IFA_LABEL is an interface name's length)."""
    text = text_of(value, "eth0:web")
    if not text or not text.isprintable() or len(text.encode()) > INTERFACE_NAME_LENGTH:
        raise ValueError(f'"{text}" is not a label: 1 to {INTERFACE_NAME_LENGTH} printable characters')
    return text


def congctl(value: object) -> str:
    """The name of a TCP congestion control algorithm."""
    text = text_of(value, "bbr")
    if not _NAME.fullmatch(text) or len(text) > CONGCTL_LENGTH:
        raise ValueError(f'"{text}" is not the name of a congestion control algorithm')
    return text


def one_or_more(parse: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """The parser of one value, or of an array of such."""

    def parse_each(value: object) -> tuple[T, ...]:
        return tuple(map(parse, value)) if isinstance(value, list) else (parse(value),)

    return parse_each


def requirements(value: object) -> tuple[tuple[str, bool], ...]:
    """``"@name"``, ``"!@name"`` or an array of such: (name, whether it has to be down)."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError('names no check: write "@name"')
    found = []
    for one in listed:
        text = text_of(one, "@wan1")
        sign, at, name = text.partition("@")
        if not at or sign not in {"", "!"} or not _NAME.fullmatch(name.removeprefix("service/")):
            raise ValueError(f'"{text}" names no check: write "@name", or "!@name" where it has to be down')
        found.append((name, sign == "!"))
    return tuple(found)


@expects("host")
def address_and_port(value: object) -> tuple[bytes, int]:
    """``192.0.2.1``, ``192.0.2.1:443``, ``2001:db8::1`` or ``[2001:db8::1]:443``; port 0 where there is none."""
    text = text_of(value, "192.0.2.1:443")
    head, port = text, ""
    if text.startswith("["):
        head, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        head, _, port = text.partition(":")
    if head == text:
        return net.parse_address(text), 0
    return net.parse_address(head), within(number(port, UINT32, "a port"), 1, 65535)


def metrics_address(value: object) -> tuple[bytes, int] | None:
    """``127.0.0.1:9914`` or ``[::1]:9914``; None for ``off``."""
    text = text_of(value, "127.0.0.1:9914")
    if text == "off":
        return None
    address, port = address_and_port(text)
    if not port:
        raise ValueError(f'"{text}" has no port: write "{net.format_endpoint(address, 9914)}"')
    return address, port


def listen(value: object) -> tuple[int, bytes, int, str]:
    """``192.0.2.1:443``, ``[2001:db8::1]:53/udp``, ``@local:30080``: IP protocol, address, port, whose addresses."""
    text = text_of(value, "192.0.2.1:443")
    place, slash, protocol = text.partition("/")
    if slash and protocol not in ipvs.IPPROTOS.values():
        raise ValueError(f'"{protocol}" is no protocol of IPVS: write {one_of(ipvs.IPPROTOS.values())}')
    ipproto = next((number for number, word in ipvs.IPPROTOS.items() if word == protocol), ipvs.TCP)
    if not place.startswith("@"):
        return ipproto, *address_and_port(place), ""
    name, colon, port = place[1:].partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{place}" names no interface: write "@local:443" or "@name:443"')
    return ipproto, b"", within(number(port, UINT32, "a port"), 1, 65535) if colon else 0, f"@{name}"


def check_of_servers(value: object) -> object:
    """``"@name"`` of a template is a table with that name and nothing else."""
    if not isinstance(value, str):
        return value
    at, name = value[:1], value[1:]
    if at != "@" or not _NAME.fullmatch(name):
        raise ValueError(f'"{value}" names no check: write "@name"')
    return {"name": name}


def min_healthy(value: object) -> int | float:
    """A number of servers, or a share of them."""
    return within(value, 1, UINT32) if is_integer(value) else percentage(value)  # type: ignore[arg-type]


def server(value: object) -> object:
    """A server that is written as its address alone is a table with nothing else."""
    return {"address": value} if isinstance(value, str) else value


def status_range(value: object) -> tuple[int, int]:
    """A status of HTTP, or ``200-399``."""
    low, high = _range(value, "200-399", "a status")
    within(low, 100, 599), within(high, 100, 599)
    return low, high


def host_name(value: object) -> str:
    """The name of a host, as DNS has it."""
    text = text_of(value, "www.example.org")
    parts = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(part) for part in parts):
        raise ValueError(f'"{text}" is not the name of a host')
    return text


def path_or_credential(value: object) -> str:
    """A path that begins at the root, or the name of a credential (LoadCredential= in systemd.exec(5))."""
    text = text_of(value, "/etc/routed/headers")
    if _CREDENTIAL.fullmatch(text):
        return text
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f'"{text}" is neither a path that begins with "/" nor the name of a credential')
    return text


def absolute_path(value: object) -> str:
    """A path that begins at the root."""
    text = text_of(value, "/run/maintenance")
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f'"{text}" is not a path that begins with "/"')
    return text


def command(value: object) -> tuple[str, ...]:
    """A command: its absolute path and its arguments. No shell reads it. What is wrong is said without its words."""
    if not (isinstance(value, list) and value and all(isinstance(word, str) for word in value)):
        raise ValueError(
            'must be an array of texts, such as ["/usr/lib/nagios/plugins/check_ntp_time", "-H", "192.0.2.1"]'
        )
    if not value[0].startswith("/"):
        raise ValueError('must begin with the path of a program, and the path with "/"')
    if any("\0" in word for word in value) or sum(map(len, value)) + len(value) > MOST_OF_A_COMMAND:
        raise ValueError(f"must have no NUL, and no more than {MOST_OF_A_COMMAND} characters, with one between words")
    return tuple(value)


def user(value: object) -> str:
    """The name of a user, who is not root (useradd(8))."""
    name = text_of(value, "nobody")
    if not _USER.fullmatch(name):
        raise ValueError(f'"{name}" is not the name of a user')
    if name == "root":
        raise ValueError("no command runs as root")
    return name


def http_path(value: object) -> str:
    """The path of a request, with its query if it has one."""
    text = text_of(value, "/healthz")
    if not _HTTP_PATH.fullmatch(text):
        raise ValueError(f'"{text}" is not the path of a request: it begins with "/" and has no blank')
    return text


def duration(value: object) -> float:
    """Seconds."""
    if is_integer(value) or isinstance(value, float):
        raise ValueError(f'a duration needs its unit: write "{value}s" or "{value}ms"')
    text = text_of(value, "60s")
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a duration: write a number and ms, s, m, h or d, such as "500ms" or "5m"')
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise ValueError("must be longer than nothing")
    return seconds


def poll_interval(value: object) -> float:
    """Seconds, so many that a look costs little, and so few that it still finds something."""
    seconds = duration(value)
    if not _SHORTEST_POLL <= seconds <= _LONGEST_POLL:
        raise ValueError("must be at least 100ms and at most 1h")
    return seconds


def timeout(value: object) -> int:
    """The seconds of a timeout of IPVS."""
    seconds = duration(value)
    if not (1 <= seconds <= ipvs.LONGEST_TIMEOUT and seconds.is_integer()):
        raise ValueError(f"must be from 1s to {ipvs.LONGEST_TIMEOUT // 86400}d: the kernel counts whole seconds")
    return int(seconds)


def link_address(value: object) -> bytes:
    """The address of a device on its link."""
    parts = text_of(value, "02:00:00:00:00:05").split(":")
    is_hex = all(part and len(part) <= 2 and set(part) <= _HEX for part in parts)
    if not is_hex or not 1 < len(parts) <= LONGEST_LINK_ADDRESS:
        raise ValueError(f'"{value}" is no link address: write it as "02:00:00:00:00:05"')
    return bytes(int(part, 16) for part in parts)


def percentage(value: object) -> float:
    """A share from 0 to 1."""
    text = text_of(value, "50%")
    digits = text.removesuffix("%")
    if digits == text or not (digits.isascii() and digits.isdecimal() and len(digits) <= 3 and int(digits) <= 100):
        raise ValueError(f'"{text}" is not a share: write "0%" to "100%"')
    return int(digits) / 100


def max_loss(value: object) -> float | None:
    """A share such as ``30%``, or ``off`` for all."""
    return None if value == "off" else percentage(value)


def on_stale(value: object) -> float | None:
    """A duration, or ``keep`` for ever."""
    return None if value == "keep" else duration(value)


def fight_limit(value: object) -> int | None:
    """Repairs before an object is held; None is off."""
    if value == "off":
        return None
    if not is_integer(value):
        raise ValueError('must be a number from 1 to 1000000, or "off"')
    return within(value, 1, 1_000_000)  # type: ignore[arg-type]


def name_or_number(value: object) -> str | int:
    """A word that only the host's name files explain, or its number."""
    if is_integer(value):
        return within(value, 0, UINT32)  # type: ignore[arg-type]
    text = text_of(value, "main")
    return number(text, UINT32, "a number") if _NUMBER.fullmatch(text) else text


def scope(value: object) -> int:
    """A scope by its name or number."""
    if is_integer(value):
        return within(value, 0, names.HOST)  # type: ignore[arg-type]
    text = text_of(value, "link")
    numbers = {name: number_ for number_, name in SCOPES.items() if number_ != names.NOWHERE}
    if text not in numbers:
        raise ValueError(f'"{text}" is not a scope: write {one_of(numbers)}')
    return numbers[text]


def fwmark(value: object) -> tuple[int, int]:
    """A mark and its mask. Without a mask all bits count, as in ``ip rule``."""
    if is_integer(value):
        mark, mask = within(value, 0, UINT32), UINT32  # type: ignore[arg-type]
    else:
        head, slash, tail = text_of(value, "0x30/0xff").partition("/")
        mark, mask = number(head, UINT32, "a mark"), number(tail, UINT32, "a mask") if slash else UINT32
    if mask == 0:
        raise ValueError("a mask of 0 would match every packet")
    return mark, mask


def mark(value: object) -> int:
    """A firewall mark without a mask; not 0, which every packet has."""
    mark, mask = fwmark(value)
    if mask != UINT32 or not mark:
        raise ValueError("must be a mark such as 0x3100, without a mask")
    return mark


def ip_protocol(value: object) -> int:
    """The number of an IP protocol."""
    if is_integer(value):
        return within(value, 1, 255)  # type: ignore[arg-type]
    text = text_of(value, "tcp").lower()
    if text in _PROTOCOL_NUMBERS:
        return _PROTOCOL_NUMBERS[text]
    if _NUMBER.fullmatch(text):
        return within(number(text, UINT32, "a protocol"), 1, 255)
    raise ValueError(f'"{text}" is not an IP protocol that routed knows by name: write its number')


def ports(value: object) -> tuple[int, int, int]:
    """A port or a range of ports, both ends included, and the mask of a single one."""
    port, slash, tail = value.partition("/") if isinstance(value, str) else ("", "", "")
    if slash:
        first = last = number(port, UINT32, "a port")
    else:
        first, last = _range(value, "1000-2000", "a port or a range of ports")
    if not 1 <= first <= last <= MAXIMUM_PORT:
        raise ValueError(f"ports go from 1 to {MAXIMUM_PORT} (the kernel takes no 65535 here), the lower one first")
    mask = _mask_of(first, number(tail, UINT32, "a mask"), WHOLE_PORT) if slash else WHOLE_PORT
    return first, last, mask


def _mask_of(value: int, mask: int, maximum: int) -> int:
    """The mask of a number, which must have every bit of it: the kernel takes no other."""
    within(mask, 1, maximum)
    if value & ~mask:
        raise ValueError(f"0x{value:x} has bits that its mask 0x{mask:x} has not")
    return mask


def masked_number(maximum: int, what: str, *, is_named: bool) -> Callable[[object], tuple[int | str, int]]:
    """The parser of a number with a mask behind it; without a mask all bits count. Some may be names as well."""

    def parse(value: object) -> tuple[int | str, int]:
        if is_integer(value):
            return within(value, 0, maximum), maximum  # type: ignore[arg-type]
        head, slash, tail = text_of(value, "0x8/0x38").partition("/")
        if is_named and not slash and not _NUMBER.fullmatch(head):
            return head, maximum
        found = within(number(head, UINT32, f"a {what}"), 0, maximum)
        return found, _mask_of(found, number(tail, UINT32, "a mask"), maximum) if slash else maximum

    return parse


def realms(value: object) -> tuple[int, int]:
    """``1/2``: source and destination; one alone is the destination (ip-route(8))."""
    if is_integer(value):
        return 0, within(value, 1, MAXIMUM_REALM)  # type: ignore[arg-type]
    source, slash, destination = text_of(value, "1/2").rpartition("/")
    first = within(number(source, UINT32, "a realm"), 0, MAXIMUM_REALM) if slash else 0
    second = within(number(destination, UINT32, "a realm"), 0, MAXIMUM_REALM)
    if not first and not second:
        raise ValueError("no realm at all: leave it out")
    return first, second


def time_of_metric(scale: int) -> Callable[[object], float]:
    """The parser of a time that the kernel counts in so many parts of a millisecond. Seconds."""

    def parse(value: object) -> float:
        seconds = duration(value)
        counted = seconds * 1000 * scale
        if not 1 <= round(counted) <= UINT32 or abs(counted - round(counted)) > _NEAR:
            part = "a millisecond" if scale == 1 else f"{1 / scale:g}ms"
            raise ValueError(f"must be a multiple of {part}, which is what the kernel counts in")
        return seconds

    return parse


def uids(value: object) -> tuple[int, int]:
    """A user id or a range of them, both ends included."""
    first, last = _range(value, "0-99", "a user id or a range of them")
    if not first <= last <= MAXIMUM_UID:
        raise ValueError(f"user ids go from 0 to {MAXIMUM_UID}, the lower one first")
    return first, last


def _range(value: object, example: str, what: str) -> tuple[int, int]:
    if is_integer(value):
        return value, value  # type: ignore[return-value]
    text = text_of(value, example)
    first, dash, last = text.partition("-")
    low = number(first, UINT32, what)
    return low, number(last, UINT32, what) if dash else low


def is_deprecated(value: object) -> bool:
    """``preferred_lft``: 0 is deprecated, ``forever`` is not."""
    if value == "forever":
        return False
    if is_integer(value) and value == 0:
        return True
    raise ValueError('must be 0 (never chosen as a source) or "forever"')


def one_of(words: object) -> str:
    """A list of words for a sentence: ``"a", "b" or "c"``."""
    *head, last = [f'"{word}"' for word in words]  # type: ignore[attr-defined]
    return f"{', '.join(head)} or {last}" if head else last
