"""A source of type ``etcd`` as the operator wrote it: whom to ask, as whom, for what, and what to put there.

Values only. How etcd is spoken to stands in ``members``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from routed.model.members import Member
from routed.model.reasons import Reason

DEFAULT_PORT: Final = 2379
LEAST_TTL: Final = 5  # seconds; etcd makes a lease of less as long as two elections
MOST_TTL: Final = 9_000_000_000  # likewise the most that it grants


class Format(StrEnum):
    """What the values under a prefix are."""

    MEMBER = "member"  # one member each, as in the member document; the last part of the key is its name
    FLANNEL = "flannel"  # the leases of flannel, under …/subnets/


class OnStop(StrEnum):
    """What becomes of the registration when the daemon stops."""

    KEEP = "keep"  # it ends with its lease
    REMOVE = "remove"  # this host leaves at once


class Endpoint(NamedTuple):
    """One server."""

    host: str  # a name or an address, without brackets
    port: int = DEFAULT_PORT
    is_encrypted: bool = False

    @property
    def authority(self) -> str:
        """Host and port, as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.is_encrypted else 'http'}://{self.authority}"


class Tls(NamedTuple):
    """Files, each a path or the name of a credential of the unit."""

    ca: str = ""  # whom to believe; empty: whom this host believes
    cert: str = ""  # who we are
    key: str = ""


class Registration(NamedTuple):
    """What this host puts there of itself."""

    member: Member  # its uid tells this host from another of the same name: it lasts as long as the host does
    ttl: int = 3600  # seconds that others count on it when it is silent
    on_stop: OnStop = OnStop.KEEP


class RegisterSpec(NamedTuple):
    """``register``: what this host is to say of itself. Which host that is, is known where it runs."""

    name: str = ""  # the name of the host where it is empty
    addresses: tuple[bytes, ...] = ()
    address_of: str = ""  # the [[interface]] whose addresses are meant besides
    prefixes: tuple[bytes, ...] = ()
    port: int = 0
    weight: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    ttl: int = 3600  # seconds
    on_stop: OnStop = OnStop.KEEP


class EtcdSettings(NamedTuple):
    """How a source is asked, and what this host puts there."""

    endpoints: tuple[Endpoint, ...]  # asked in turn: one until it fails, then the next
    prefix: str  # it ends with a slash, and each key below it is a member
    format: Format = Format.MEMBER
    tls: Tls = Tls()
    user: str = ""
    password_file: str = ""  # a path or the name of a credential of the unit
    register: Registration | None = None  # never with flannel's format


class EtcdSource(NamedTuple):
    """``[[source]]`` with ``type = "etcd"``."""

    settings: EtcdSettings
    register: RegisterSpec | None = None

    @property
    def watched(self) -> tuple[str, ...]:
        """None: it says itself what is new."""
        return ()


class Unheard(NamedTuple):
    """The source says nothing. Nobody is gone for that."""

    why: Reason


class Registered(NamedTuple):
    """This host stands among the members."""

    revision: int


class Unregistered(NamedTuple):
    """It does not, or may not any more."""

    why: Reason


def parse_endpoint(text: str) -> Endpoint:
    """``https://192.0.2.1:2379``. Raises ValueError with a sentence."""
    scheme, _, rest = text.partition("://")
    if scheme not in {"http", "https"} or not rest:
        raise ValueError(f'"{text}" is no endpoint: write https://192.0.2.1:{DEFAULT_PORT}')
    host, colon, port = _split_port(rest.removesuffix("/"))
    if not host or not host.isascii() or not host.isprintable() or set(host) & set("/@?# []"):
        raise ValueError(f'"{text}" is no endpoint: it needs a host, and nothing stands after the port')
    if colon and not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(f'"{text}" is no endpoint: the port must be a number from 1 to 65535')
    return Endpoint(host, int(port) if colon else DEFAULT_PORT, scheme == "https")


def _split_port(rest: str) -> tuple[str, str, str]:
    if rest.startswith("["):
        host, end, after = rest[1:].partition("]")
        return host if end and after[:1] in {"", ":"} else "", after[:1], after[1:]
    return rest.partition(":")
