"""The words of the reasons of members and their sources: a part of ``reasons``, which has the table of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from routed.model.members import Broken
from routed.model.net import FAMILY_NAME, format_address, format_endpoint, format_prefix
from routed.model.reasons import (
    Detailed,
    Lacking,
    ManyGone,
    MembersChanged,
    More,
    Mute,
    NotAllowed,
    NotFilled,
    OutOfBounds,
    Plain,
    SameServer,
    Snag,
    Snagged,
    SourceFailed,
    SourceMute,
    Standstill,
)

MOST_NAMED: Final = 3  # addresses and prefixes that the file does not allow

PLAIN_WORDS: Final[Mapping[Plain, str]] = {
    Standstill.EMPTY: "it tells of no member at all any more",
}


_MUTE: Final[Mapping[Mute, str]] = {
    Mute.ENDED: "it ended, and without `every` it has to go on: write `every` if it is to be run again and again",
    Mute.LATE: "it wrote no document in {0}: write a longer `timeout`, or look what it waits for",
}


def _describe_lacking(it: Lacking) -> str:
    family = f" of {FAMILY_NAME[it.family].replace('ip', 'IP')}" if it.family else ""
    return f"member {it.member} has nothing{family} for `{it.key}`"


def _describe_forbidden(it: NotAllowed) -> str:
    whose = "this host's own" if it.is_own else "the gateway of another route"
    return f"member {it.member} tells {format_address(it.address)}, which is {whose}"


def describe_broken(broken: Broken) -> str:
    """What is wrong with what a source tells of one member."""
    if not broken.outside:
        return broken.why
    told = [format_address(one) if len(one) in {4, 16} else format_prefix(one) for one in broken.outside]
    rest = len(told) - MOST_NAMED
    listed = ", ".join(told[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"the file does not allow {listed}: see `addresses_within` and `prefixes_within`"


_SNAGS: Final[Mapping[Snag, str]] = {
    Snag.SILENT: "no answer in {0}",
    Snag.UNREACHABLE: "{0}",
    Snag.CLOSED: "it closed the connection",
    Snag.MUTE: "it closed the connection without a word: does it speak TLS, and the endpoint say https?",
    Snag.CERTIFICATE: "its certificate: {0}: see `ca`, and the names in that certificate",
    Snag.HANDSHAKE: "no handshake ({0}): does it speak TLS, and does it accept our `cert`?",
    Snag.NO_FILE: "{0}",
    Snag.NO_LEADER: "it has no quorum ({0}): start the other members of its cluster",
    Snag.NO_USER: "it asks who we are: set `username` and `password_file`",
    Snag.WRONG_PASSWORD: "it does not know {0} by this password: see `username` and `password_file`",
    Snag.NO_TOKEN: "it forgot that we logged in, twice ({0})",
    Snag.FORBIDDEN: "user {0} may not do that: grant it all below the prefix (etcdctl role grant-permission)",
    Snag.COMMON_NAME: "it has users, and so its gateway takes no client certificate with a common name: "
    "use a certificate without CN, with `username` and `password_file`",
    Snag.GATEWAY: "its gateway does not reach the server itself ({0}): if that lasts, its server certificate lacks "
    "the purpose clientAuth (extendedKeyUsage)",
    Snag.STRANGE: "that is no etcd of 3.4 or later ({0})",
    Snag.REFUSED: "it says: {0}",
    Snag.TOO_LARGE: "more comes than is read ({0})",
    Snag.NAME_TAKEN: "another host that lives has this name: {0}",
    Snag.LEASE_OVER: "the lease of this host has run out",
    Snag.DELETED: "somebody deleted what this host had put there",
    Snag.LOCAL: "a defect of routed: {0}",
}


def _describe_snagged(it: Snagged) -> str:
    return f"{it.who}: {_SNAGS[it.snag].format(it.detail).replace(' ()', '')}"


WORDS: Final[Mapping[type[Detailed], Callable[[Any], str]]] = {
    MembersChanged: lambda it: f"members of source/{it.source} changed",
    ManyGone: lambda it: f"{it.gone} of {it.of} members would go within a minute",
    SourceFailed: lambda it: f"{it.what}: {it.why}",
    SourceMute: lambda it: f"{it.what}: {_MUTE[it.how].format(it.detail)}",
    Lacking: _describe_lacking,
    NotFilled: lambda it: f"member {it.member}: `{it.key}`: {it.why}",
    NotAllowed: _describe_forbidden,
    Snagged: _describe_snagged,
    OutOfBounds: lambda it: (
        f"member {it.member}: `{it.key}` would be {it.given}, and the file does not allow its source to say so"
    ),
    SameServer: lambda it: (
        f"member {it.member} tells {format_endpoint(it.address, it.port)}, as member {it.other} did before it"
    ),
    More: lambda it: f"and {it.rest} more",
}
