"""Reasons in words: the one place where a clause is made of a reason.

Status, results, plans, records and notices all word the same value here. A reason is a row of one of two tables; which
reasons there are stands in ``model.reasons``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from os import strerror
from typing import Any, Final

from routed.audit import member_words, way_words
from routed.audit.actors import name_actor
from routed.model.entries import How, Matcher
from routed.model.net import format_address, format_destination, format_endpoint, format_prefix
from routed.model.reasons import (
    AddressChange,
    AddressTurn,
    AgentSaid,
    AlsoStands,
    Ambiguous,
    Assumed,
    But,
    Called,
    CallFailed,
    CameTo,
    CarriesSession,
    Chosen,
    Claimed,
    Condition,
    CutsOff,
    Deed,
    DefaultAddress,
    Defect,
    Detailed,
    Differs,
    Drained,
    Draining,
    FactChanged,
    FileChanged,
    Finding,
    FirstContact,
    FirstOf,
    Flaw,
    Fought,
    HasAddress,
    HasDefaultRoute,
    HasDriver,
    HasMac,
    InUse,
    KernelChooses,
    Lack,
    LeftAlone,
    Lifeline,
    LinkChange,
    LinkDown,
    LinkTaken,
    LinkTurn,
    Look,
    Lossy,
    ManyAddresses,
    MembersChanged,
    Misfit,
    NameFits,
    Needed,
    NoAddress,
    NoCarrier,
    NoHolder,
    NoHostAddress,
    NoInterface,
    NoIpv6,
    NoLink,
    NoNexthop,
    NoRoutes,
    NotChosen,
    NotFirst,
    NotTold,
    NoWay,
    NoWayWithout,
    Observed,
    OffNetwork,
    OtherMark,
    OtherSource,
    Outdated,
    Overruled,
    OwnAddress,
    Paused,
    Plain,
    Probed,
    Reaches,
    Reason,
    Required,
    RolledBack,
    SaidNo,
    ServerOut,
    Several,
    Sign,
    Skipped,
    Slow,
    StoodOn,
    Stuck,
    TooFew,
    TooFewServers,
    TooMany,
    TooOld,
    Unassumable,
    Unchosen,
    Unfit,
    Unreadable,
    Unseen,
    Unusable,
    Withdrawn,
    WouldFall,
)
from routed.model.text import Vocabulary, format_key

LEAST_MTU: Final = 1280  # IPV6_MIN_MTU, RFC 8200

PLAIN: Final[Mapping[Plain, str]] = {
    **member_words.PLAIN_WORDS,
    **way_words.PLAIN_WORDS,
    Assumed.IN_PLAN: "assumed",
    Deed.DELETED: "deleted",
    Deed.ADDED: "added",
    Deed.REPLACED: "replaced",
    Deed.CHANGED: "changed",
    Sign.UNTOLD: "deleted; of an IPv6 address the kernel does not tell by whom",
    Sign.EXPIRED: "its lifetime was over",
    Sign.DELETED_BELOW: "deleted from under its key",
    Sign.ALIAS_ADDED: "an alias was added under its key",
    Sign.MARKED: "added under our protocol number",
    Sign.IN_LINE: "something came or went beside it",
    Sign.DEFAULT_RULE: "a rule of the kernel was touched",
    Sign.GATEWAY: "a gateway moved",
    Sign.OTHER_WAY: "the kernel now sends packets another way",
    Sign.PUT_UNDER: "what it stands on was put anew",
    Look.START: "start",
    Look.STOP: "stop",
    Look.RELOAD: "reload",
    Look.ENFORCE: "not all of it is carried out yet",
    Look.DIRECT: "apply --direct",
    Look.PLAN: "asked for",
    Look.REGULAR: "found by the regular comparison",
    Look.POLLED: "found by the regular look at what tells of no changes",
    Look.COMPARISON: "found by comparison",
    Look.STORM: "found after a storm of changes",
    Look.OVERRUN: "the kernel could not deliver all events",
    Look.AGAIN: "looked at again",
    Look.SEARCH: "found in search of former protocol numbers",
    Look.RESTLESS: "it changed each time it was read",
    Look.FAILED: "a pass failed",
    Look.TIME: "it was time to look again",
    Look.UNCONFIRMED: "nobody confirmed the files in time",
    Look.RETRY: "tried again",
    Look.RESUMED: "resumed",
    Look.VERIFY: "verifying",
    NoHostAddress.NO_DEFAULT_ROUTE: "this host has no default route",
    NoHostAddress.NO_INTERFACE: "a default route comes first that has no interface",
    NoHostAddress.NO_GLOBAL_ADDRESS: "no interface of a default route has a global address",
    NoHostAddress.NONE_AT_ALL: "this host has no address of its own in the family of the servers",
    Needed.ALWAYS: "the file says always",
    Needed.UNCERTAIN: "it stands already, and what the kernel would choose without it is not certain",
    Flaw.MISSING: "missing",
    Flaw.UNWANTED: "ours, and no entry wants it",
    Flaw.BEHIND: "a foreign object comes first under its key",
    Flaw.IN_FRONT: "it stands in front of the host's own address",
    Flaw.EXTRA: "more stands under its key than the file says",
    Flaw.OUT_OF_ORDER: "out of order",
    Flaw.IN_PLACE: "a foreign one in front of it selects the same packets",
    Flaw.DUPLICATE: "it failed duplicate address detection: another host on the link has it",
    Flaw.FORMER: "still there as it was before",
    Flaw.PUT_BACK: "no entry wants its place any more: what stood there before is put back",
    LeftAlone.OBSERVED: "observed only",
    LeftAlone.ONCE: "installed once, then left alone",
    LeftAlone.REFUSED: "a foreign object stands in its place, and on_conflict is refuse",
    LeftAlone.KERNELS_OWN: (
        'the kernel\'s own object stands in its place: choose another metric, or say on_conflict = "replace"'
    ),
    LeftAlone.UNDECIDED: "an [[interface]] is ambiguous, and it may belong to it",
    LeftAlone.NOT_ON_DISK: "the files on disk are not in force",
    LeftAlone.BESIDE: "a foreign object stands beside it, and is left alone",
    LeftAlone.NOT_KNOWN: "it may stand in the place of something, and the list of that cannot be read",
    Unchosen.DOWN: "it is down",
    Unchosen.NOTHING_FITS: "nothing fits",
    Unchosen.ANOTHER_FIRST: "another one comes first",
    Unchosen.NOT_ALONE: "it is not the only one",
}


def describe_reason(reason: Reason | None) -> str:
    """A reason as a clause without a full stop; nothing where there is none."""
    if reason is None:
        return ""
    return PLAIN[reason] if isinstance(reason, Plain) else DETAILED[type(reason)](reason)


def describe_paused(reason: Reason | None) -> str:
    """The same where the state is not told beside it: the operator's own words may say nothing of a pause."""
    words = describe_reason(reason)
    return f"paused: {words}" if isinstance(reason, Paused) and reason.words else words


def describe_matcher(matcher: Matcher) -> str:
    """A matcher as the file has it: ``regex = "ens.*"``."""
    if matcher.how is How.DEFAULT:
        return "default = true"
    return f'{matcher.how} = "{matcher.text}"' + (", gateway = true" if matcher.through_gateway else "")


_LINK_TURNS: Final = {
    LinkTurn.DELETED: "was deleted",
    LinkTurn.APPEARED: "appeared",
    LinkTurn.RENAMED: "was renamed to",
    LinkTurn.WENT_UP: "went up",
    LinkTurn.WENT_DOWN: "went down",
    LinkTurn.HAS_CARRIER: "has carrier",
    LinkTurn.LOST_CARRIER: "lost carrier",
    LinkTurn.OTHER_ALTNAMES: "has other altnames",
    LinkTurn.CHANGED: "changed",
}
_ADDRESS_TURNS: Final = {
    AddressTurn.REMOVED: "was removed",
    AddressTurn.REMOVED_BY_US: "was removed by routed",
    AddressTurn.EXPIRED: "expired",
    AddressTurn.CAME: "came or changed",
}
_LACKS: Final = {
    Lack.ABSENT: "is not on this host",
    Lack.TENTATIVE: "is tentative",
    Lack.FAILED_DAD: "failed duplicate address detection",
}


def _describe_link_change(change: LinkChange) -> str:
    words = ["link", change.link] if change.link else ["a", "link"]
    words.append(_LINK_TURNS[change.turn])
    return " ".join([*words, change.now] if change.now else words)


def _describe_address_change(change: AddressChange) -> str:
    place = f"/{change.prefixlen} of {change.link}" if change.link else ""
    return f"address {format_address(change.address)}{place} {_ADDRESS_TURNS[change.turn]}"


def _describe_no_link(lack: NoLink) -> str:
    return f"link {lack.link}{f' (@{lack.selector})' if lack.selector else ''} does not exist"


def _describe_link_down(lack: LinkDown) -> str:
    towards = f", towards gateway {format_address(lack.gateway)}," if lack.gateway else ""
    return f"link {lack.link}{towards} is down"


def _describe_no_ipv6(lack: NoIpv6) -> str:
    why = f"its MTU is {lack.mtu}, and IPv6 takes {LEAST_MTU}" if 0 < lack.mtu < LEAST_MTU else "disable_ipv6 is set"
    return f"there is no IPv6 on link {lack.link}: {why}"


def _describe_not_first(place: NotFirst) -> str:
    where = f" in {format_prefix(place.network)}" if place.network else ""
    return f"link {place.link} has no address of its own{where} yet, and a VIP must not be its first"


def _describe_in_front(place: Stuck) -> str:
    return (
        f"it is the primary address of {format_prefix(place.network)} on {place.link}, and"
        f" {format_address(place.other)} could go with it: delete both by hand, and add that one first"
    )


def _describe_other_source(bypass: OtherSource) -> str:
    source = format_address(bypass.source) if bypass.source else "no address"
    why = f", since {bypass.winner} wins" if bypass.winner else ""
    return f"packets to {format_address(bypass.address)} leave from {source}{why}"


def _describe_rival(rival: Overruled) -> str:
    what = rival.route
    rule = f"rule {rival.rule}" if rival.rule else ""
    decides = f"{what} decides" + (f", by {rule}" if rule else "") if what else f"{rule} decides"
    actor = name_actor(rival.port, rival.process).words
    return f"{decides}, put there by {actor}" if actor else decides


def _describe_cut(cut: CutsOff) -> str:
    what = {
        Lifeline.SESSION: f"the SSH session of {format_address(cut.address)}",
        Lifeline.GATEWAY: f"gateway {format_address(cut.address)} of a route of ours",
        Lifeline.DEFAULT: "all that only a default route is for",
    }[cut.lifeline]
    line = f"{cut.line}: " if cut.line else ""
    return f"{line}it would take the way to {what}: apply --force lets it"


_FIELDS: Final = {"hops": "its next hops", "src": "its source"}  # of the model, where these are no words of ``ip``


def _describe_difference(difference: Differs) -> str:
    what = f"differs in {', '.join(_FIELDS.get(field, field) for field in difference.fields)}"
    return f"foreign, and {what}" if difference.is_foreign else what


_WITHDRAWALS: Final[Mapping[type[Reason], str]] = {
    Condition: "is ",
    Required: "is not wanted: ",
    MembersChanged: "goes: ",
}


def _describe_withdrawal(withdrawal: Withdrawn) -> str:
    verb = _WITHDRAWALS.get(type(withdrawal.why), "waits: ")
    return f"{withdrawal.entry} {verb}{describe_reason(withdrawal.why)}"


def _describe_first_contact(contact: FirstContact) -> str:
    session = f"route that carries the SSH session of {format_address(contact.peer)}" if contact.peer else ""
    return f'first contact with a foreign {session or "default route"}: say on_conflict = "replace" to take it over'


def _describe_fight(fight: Fought) -> str:
    words = f"undone {fight.times} times within {fight.seconds} s by another process"
    actor = name_actor(fight.port, fight.process).words
    return f"{words}, last by {actor}" if actor else words


def _describe_reach(way: Reaches) -> str:
    if not way.gateway:
        return f"{way.target} is on it"
    return f"{way.target} is behind {format_address(way.gateway)} on it"


def _describe_default_route(way: HasDefaultRoute) -> str:
    return "the default route leads over it" + (f" (metric {way.metric})" if way.metric else "")


def _describe_ambiguity(choice: Ambiguous) -> str:
    fits = f"{', '.join(choice.links)} all fit {describe_matcher(choice.matcher)}"
    return f"@{choice.selector} is ambiguous: {fits}"


# What was found, with the detail that it has.
_FINDINGS: Final[Mapping[Finding, str]] = {
    Finding.GOOD: "answered {0}",
    Finding.SILENCE: "no answer in {0}",
    Finding.FILTERED: "no answer in {0}, and rp_filter of the link is 1: the kernel drops what comes in by another way",
    Finding.REFUSED: "connection refused",
    Finding.RESET: "connection reset",
    Finding.CLOSED: "closed without an answer",
    Finding.UNREACHABLE: "unreachable ({0})",
    Finding.NO_GATEWAY: "gateway {0} does not answer",
    Finding.CERTIFICATE: "certificate: {0}",
    Finding.HANDSHAKE: "handshake: {0}",
    Finding.STATUS: "status {0}",
    Finding.MALFORMED: "not understood: {0}",
    Finding.UNEXPECTED: 'no "{0}" in the answer',
    Finding.NO_RECORD: "{0}",
    Finding.ABSENT: "{0} does not exist",
    Finding.SAYS_DOWN: "{0} says down",
    Finding.SAYS: "says {0}",
    Finding.NO_HEADERS: "{0}",
    Finding.NO_LINK: "there is no link {0}",
    Finding.NO_CARRIER: "link {0} is down, or has no carrier",
    Finding.LOCAL: "it could not be asked: {0}",
    Finding.EXITED: "exit code {0}",
    Finding.SIGNALLED: "ended by {0}",
    Finding.NO_HELPER: "nobody runs commands at {0}: systemctl start routed-exec.socket",
    Finding.NOT_HARMLESS: "it would run with rights: {0}: see User= of routed-exec.service, or run routed by its unit",
    Finding.NO_USER: "this host has no user {0}, or it is root: make it (useradd --system {0}), or change `user`",
    Finding.OTHER_USER: "commands run as {0} here: leave `user` out, or set User= in a drop-in of routed-exec.service",
    Finding.NO_COMMAND: "{0} does not exist: install it, or change `command`",
    Finding.NOT_EXECUTABLE: "it cannot be run: {0}",
    Finding.WRITABLE: "somebody else than root may write {0}: chown -h root and chmod go-w",
    Finding.NO_SOCKET: "no socket for it ({0}): run routed by its unit, or with CAP_NET_RAW and CAP_NET_ADMIN",
    Finding.NO_ISSUERS: "no issuers from {0}: put their certificates there, or change `ca`",
}


def _describe_pause(pause: Paused) -> str:
    if pause.is_drain:
        by = f"drained by {pause.author or 'the operator'}"
        return f"{by}: {pause.words}" if pause.words else by
    if pause.ruling is None:
        return pause.words or "paused by the operator"
    return f"said to be {'up' if pause.ruling else 'down'}" + (f": {pause.words}" if pause.words else "")


def _describe_probed(probed: Probed) -> str:
    row = f", {probed.times} in a row" if probed.times > 1 else ""
    return f"{probed.check}: {_FINDINGS[probed.finding].format(probed.detail).rstrip()}{row}"


def _describe_not_told(lack: NotTold) -> str:
    why = f": {describe_reason(lack.why)}" if lack.why else " yet"
    return f"{lack.what} {lack.which!s} is not known{why}"


def _describe_stood_on(it: StoodOn) -> str:
    other = f"{it.other.kind} {format_key(it.other, Vocabulary())}"
    return f"{other} and {it.total - 1} more stand on it" if it.total > 1 else f"{other} stands on it"


def _describe_too_few(lack: TooFew | TooFewServers, what: str) -> str:
    why = f", {describe_reason(lack.why)}" if lack.why else ""
    return f"{lack.up} of {lack.of} {what} up, {lack.need} needed{why}"


def _describe_required(unmet: Required) -> str:
    why = f" ({describe_reason(unmet.why)})" if unmet.why else ""
    name = unmet.check if "/" in unmet.check else f"check/{unmet.check}"
    return f"{name} is {'up' if unmet.is_up else 'down'}{why}"


_MISFITS: Final[Mapping[Misfit, str]] = {
    Misfit.FORM: "write {0}",
    Misfit.WORD: "it is {0}",
    Misfit.NAME: "nothing here has this name; there is {0}",
    Misfit.CONTRADICTION: "the opposite is assumed as well",
}


def _describe_unassumable(it: Unassumable) -> str:
    known = " or ".join(it.known) or "none"
    return f'"{it.given}" cannot be assumed: {_MISFITS[it.misfit].format(known)}'


def _list(addresses: Iterable[bytes]) -> str:
    return ", ".join(map(format_address, addresses))


def _format_moment(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")


# Each gets a reason of its own type.
DETAILED: Final[Mapping[type[Detailed], Callable[[Any], str]]] = {
    **member_words.WORDS,
    **way_words.WORDS,
    LinkChange: _describe_link_change,
    AddressChange: _describe_address_change,
    Chosen: lambda it: f"@{it.selector} is {it.link or 'nothing'} now",
    FileChanged: lambda it: f"{it.file} changed",
    AgentSaid: lambda it: f"check/{it.check} says so",
    FactChanged: lambda it: f"{it.what} {it.which!s} changed",
    NotTold: _describe_not_told,
    Outdated: lambda it: f"{it.what} {it.which!s} is {it.freshness}",
    RolledBack: lambda it: f"rolled back to revision {it.revision}",
    NoLink: _describe_no_link,
    TooOld: lambda it: f"this kernel does not know {it.word}, which came with Linux {it.release}",
    NoNexthop: lambda it: f"next hop {it.id} is not as it is written",
    NoRoutes: lambda it: f"table {it.table} has no route, and the files put none into it",
    NotChosen: lambda it: f"@{it.selector} is not chosen yet",
    LinkDown: _describe_link_down,
    NoIpv6: _describe_no_ipv6,
    OffNetwork: lambda it: f"gateway {format_address(it.gateway)} is on no network of this host",
    NoAddress: lambda it: (
        f"link {it.link}{f' (@{it.selector})' if it.selector else ''} has no address that stands for this host"
    ),
    ManyAddresses: lambda it: f"@{it.selector} has several addresses on {it.link}: {_list(it.addresses)}",
    Unusable: lambda it: f"address {format_address(it.address)} ({it.word}) {_LACKS[it.lack]}",
    NoCarrier: lambda it: f"link {it.link} has no carrier",
    Probed: _describe_probed,
    Unassumable: _describe_unassumable,
    Lossy: lambda it: f"{it.share * 100:.3g} % loss over {it.window:g} s, at most {it.most * 100:.3g} %",
    Slow: lambda it: f"median {it.rtt * 1000:.3g} ms over {it.window:g} s, at most {it.most * 1000:.3g} ms",
    TooFew: lambda it: _describe_too_few(it, "targets"),
    TooFewServers: lambda it: _describe_too_few(it, "servers"),
    Required: _describe_required,
    ServerOut: lambda it: f"server {format_endpoint(it.address, it.port)} is out: {describe_reason(it.why)}",
    AlsoStands: lambda it: (
        f"also on {it.link} as {format_address(it.address)}/{it.prefixlen}, which may make it a source of this host"
    ),
    NoHolder: lambda it: f"the link of {format_address(it.address)} (node) is not known yet",
    LinkTaken: lambda it: (
        f"link {it.link} is there already, and is {f'a {it.kind}' if it.kind else 'another one'}:"
        " choose another name, or delete it"
    ),
    NotFirst: _describe_not_first,
    StoodOn: _describe_stood_on,
    Stuck: _describe_in_front,
    Condition: lambda it: f"{'needed' if it.is_needed else 'not needed'}: {describe_reason(it.why)}",
    DefaultAddress: lambda it: f"{format_address(it.address)} is the default-route address",
    NoWayWithout: lambda it: f"without it the kernel knows no way to {format_destination(it.prefix)}",
    KernelChooses: lambda it: (
        f"the kernel by itself chooses {format_address(it.source)} for {format_destination(it.prefix)}"
    ),
    NoWay: lambda it: f"the kernel finds no way to {format_address(it.address)}",
    OwnAddress: lambda it: f"{format_address(it.address)} is an address of this host, so no packet to it is routed",
    OtherSource: _describe_other_source,
    Overruled: _describe_rival,
    CutsOff: _describe_cut,
    CameTo: lambda it: f"it came to {it.link}",
    InUse: lambda it: f"link {it.link} came into use",
    OtherMark: lambda it: f"the same under another {it.field}",
    Differs: _describe_difference,
    WouldFall: lambda it: (
        f"out of order, and {_list(it.addresses)} could go or come first while it is put in order:"
        " apply --force does it"
    ),
    CarriesSession: lambda it: (
        f"out of order, and {format_address(it.address)}, to which an SSH session goes, would be gone for a moment:"
        " apply --force does it"
    ),
    Withdrawn: _describe_withdrawal,
    Draining: lambda it: f"it goes when nothing is connected any more, or at {_format_moment(it.until)}",
    Drained: lambda it: f"drained: {'nothing is connected any more' if it.is_empty else 'its time is over'}",
    Observed: lambda it: f"{describe_reason(it.word)}: {describe_reason(it.flaw)}",
    FirstContact: _describe_first_contact,
    TooMany: lambda it: (
        f"{it.total} of {it.owned} owned objects would go at once, and max_deletes allows {it.allowed}:"
        " apply --force lets them"
    ),
    SaidNo: lambda it: it.words,
    Unseen: lambda it: f"{strerror(it.errno)}: the kernel took it and does not show it",
    Fought: _describe_fight,
    Paused: _describe_pause,
    Claimed: lambda it: f"{it.entry} wants the same object",
    Several: lambda it: "; ".join(map(describe_reason, it.reasons)),
    CallFailed: lambda it: it.words,
    Unreadable: lambda it: f"it cannot be read: {it.words}",
    Defect: lambda it: f"a defect in routed ({it.error}: {it.words})",
    Called: lambda it: f"it is called {it.link}",
    NameFits: lambda it: f'its {f"altname {it.altname}" if it.altname else "name"} fits "{it.pattern}"',
    HasAddress: lambda it: f"it has {format_address(it.address)}, in {it.prefix}",
    Reaches: _describe_reach,
    HasMac: lambda it: f"its MAC address is {it.mac}",
    HasDefaultRoute: _describe_default_route,
    HasDriver: lambda it: f"its driver is {it.driver}",
    FirstOf: lambda it: f"{describe_reason(it.why)}, the first of {', '.join(it.links)}",
    But: lambda it: f"{describe_reason(it.why)}, but {describe_reason(it.but)}",
    Skipped: lambda it: f'it is skipped ("{it.pattern}")',
    Unfit: lambda it: f"does not fit {describe_matcher(it.matcher)}, which decides",
    NoInterface: lambda it: f"no interface of this host is @{it.selector}",
    Ambiguous: _describe_ambiguity,
}
