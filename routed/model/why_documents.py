"""The JSON documents of ``routed why``, and of ``plan --why``. What is true of ``documents`` is true of these."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class OwnedDocument(TypedDict):
    """A route or a rule as it stands, or would, and whose it is."""

    kind: str  # route, rule
    object: str  # as ``ip`` writes it
    owner: str  # "ours", "left over" (ours, and no entry wants it), "kernel", "foreign"
    entry: str  # of ours; empty otherwise, as is …
    origin: str  # … file:line
    protocol: str
    who: str  # who put it there, where an event told; empty where nobody knows
    ip: dict[str, Any]  # the keys of ``ip -j``


class WayStepDocument(TypedDict):
    """One rule on the way of the packet."""

    rule: OwnedDocument
    why: str  # decides, drops, not-for, excluded, no-route, not-usable, thrown, too-wide, of-group, jumps, …
    selector: str  # that does not fit, of not-for
    reason: str  # the same in words
    route: NotRequired[OwnedDocument]  # that was found by it


class OutrankedDocument(TypedDict):
    """A route or a rule that an entry wants for this packet, and that does not decide about it."""

    object: OwnedDocument
    stands: bool
    state: str  # of it, as ``routed status`` has it; "" where that is not known
    since: str
    why: str  # more-specific, lower-metric, earlier-rule, not-reached, …; empty where it only does not stand
    reason: str  # of its state, in words
    hindrance: str  # what is in its way, in words
    in_front: list[OwnedDocument]  # without these it would decide; the first decides now
    passed: list[WayStepDocument]  # the rules that lead to its table, where none leads this packet there


class HopDocument(TypedDict):
    """One way out."""

    dev: str
    gateway: str  # empty on-link


class KernelDocument(TypedDict):
    """What the kernel itself answers."""

    agrees: bool | None  # None: it was not asked
    reason: str  # how it differs, or why it was not asked
    error: str  # its own words where it drops the packet
    route: str  # the route that it names, as ``ip`` writes it
    hop: NotRequired[HopDocument]  # by which it would send the packet now
    source: str  # that it would choose


class DecisionDocument(TypedDict):
    """What decides, and how."""

    outcome: str  # sent, here, broadcast, anycast, multicast, dropped, lost
    error: str  # of what is dropped or lost: the kernel's words
    aside: str  # what beside the tables decides in the end, in words
    route: NotRequired[OwnedDocument]
    rule: NotRequired[OwnedDocument]
    source: str  # that the packet has, as routed foretells it; "" where that is not known
    hops: list[HopDocument]  # by which the packet may go; of several a flow takes one
    equals: list[OwnedDocument]  # default routes of which the kernel takes one whose gateway answers
    unseen: list[OwnedDocument]  # that the kernel does not look at for this source


class WhyDocument(TypedDict):
    """What ``routed why ADDRESS --json`` prints."""

    schema: str  # routed.why/1
    address: str
    packet: dict[str, str | int]  # from, iif, oif, mark, tos, proto, sport, dport, uid, as far as they were given
    decision: DecisionDocument
    steps: list[WayStepDocument]
    otherwise: NotRequired[DecisionDocument]  # for flows that would go by a hop which a rule suppresses
    outranked: list[OutrankedDocument]
    kernel: KernelDocument
    unknown: list[str]  # what is not known, and why


class WantDocument(TypedDict):
    """One route or rule that an entry wants."""

    entry: str
    origin: str
    state: str
    reason: str
    since: str
    packed: dict[str, Any]  # the object without loss, in the form of ``model.handover``


class MakerDocument(TypedDict):
    """Who put an object of others there."""

    packed: dict[str, Any]  # its key
    who: str


class WantsDocument(TypedDict):
    """What entries want of rules and tables for one address: what GetWants answers."""

    schema: str  # routed.wants/1
    config: str  # the main file by which it is so
    protocol: int
    protocols: list[int]  # further ones, of single entries; a daemon of an older version does not tell
    former_protocols: list[int]
    wants: list[WantDocument]
    makers: list[MakerDocument]
    tables: dict[str, str]  # number → name


class ThenDocument(TypedDict):
    """What decides about packets in another case, as far as it is otherwise: what Plan answers where it was asked."""

    fib: dict[str, Any]  # the change of what the kernel holds of routing, in the form of ``model.handover``
    wants: list[WantsDocument]  # what entries want then, of each address in the order in which they were asked for


class WayChangeDocument(TypedDict):
    """How the way of a packet changes in another case."""

    address: str
    packet: dict[str, str | int]  # as in WhyDocument
    differs: list[str]  # what is another one then: outcome, hops, route, rule, owner …; empty where nothing is
    now: WhyDocument
    then: NotRequired[WhyDocument]  # of the same form; the kernel was not asked. Absent where …
    lacks: NotRequired[str]  # … this host has no such link then, or address, as the packet comes from or goes by


class WhyNodeDocument(TypedDict):
    """One reason of the tree of an entry."""

    what: str  # the entry, the object, the check
    origin: NotRequired[str]  # of an entry
    state: str  # empty of what has none
    reason: str
    since: str
    until: str  # when it ends by itself; empty where nobody knows
    change: str  # what would change it; empty where nothing has to
    why: list[Any]  # what it stands on: likewise each a node


class WhyEntryDocument(TypedDict):
    """What ``routed why ENTRY --json`` prints."""

    schema: str  # routed.why-entry/1
    entry: str
    entries: list[WhyNodeDocument]  # one for each entry of that name
    unknown: list[str]
