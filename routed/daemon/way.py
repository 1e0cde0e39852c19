"""The way of a packet as a document: what decides, whose it is, what stands behind it, and what the kernel says.

It reads the kernel itself, and needs no daemon: what entries want is given. Here must never live: how a packet is
looked up (``core.lookup``), or how the document is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import strerror
from typing import Any, Final, NamedTuple

from routed.audit.reasons import describe_reason
from routed.core.agreement import find_disagreement
from routed.core.chosen_source import choose_source
from routed.core.in_front import Contender, FibObject, Outranked, find_behind, find_decider, list_for
from routed.core.lookup import explain
from routed.core.tables import is_multicast
from routed.core.troubles import State
from routed.daemon.wants import WantedObject, read_object
from routed.kernel.fib import FibReader
from routed.kernel.stamp import make_stamp
from routed.model import names
from routed.model.fib import Explanation, Fib, FibRoute, FibRule, WayStep
from routed.model.lookup import Decision, Flow, Question, Sent
from routed.model.net import IPV4, family_of, format_address
from routed.model.objects import Hop, Key, Kind
from routed.model.owner import Marks, Owner
from routed.model.reasons import Disagreement, Doubt, NotFor, Plain, Reason
from routed.model.text import Vocabulary, format_key, format_object, to_json
from routed.model.why_documents import (
    DecisionDocument,
    HopDocument,
    KernelDocument,
    OutrankedDocument,
    OwnedDocument,
    WantDocument,
    WantsDocument,
    WayStepDocument,
    WhyDocument,
)

ATTEMPTS: Final = 3  # the tables may change between what is read and what is asked
_OUTCOMES: Final = {2: "here", 3: "broadcast", 4: "anycast", 5: "multicast"}
_MAKE: Final[Mapping[Kind, Callable[[Any, Any, Any], FibObject]]] = {Kind.ROUTE: FibRoute, Kind.RULE: FibRule}
_OWNERS: Final = {Owner.FOREIGN: "foreign", Owner.KERNEL: "kernel"}


class UnknownLinkError(Exception):
    """The packet is to come or go by a link that is not there."""


class Answers(NamedTuple):
    """One reading of the kernel."""

    question: Question
    fib: Fib
    explained: Explanation
    decision: Decision | None = None  # None: it was not asked
    sent: Sent | None = None
    difference: Reason | None = None  # or why it was not asked


def look(question: Question) -> Answers:
    """Read, explain, ask the kernel; again where they differ. Raises OSError and UnknownLinkError."""
    with FibReader() as reader:
        answers = _look_once(reader, question)
        for _ in range(ATTEMPTS - 1):
            if isinstance(answers.difference, Disagreement):
                answers = _look_once(reader, question)
        return answers


def _look_once(reader: FibReader, question: Question) -> Answers:
    flow = question.flow
    addresses = {question.destination, flow.source} - {b""}
    fib = reader.read([family_of(question.destination)], addresses, flow.iif)
    flow = flow._replace(iif=fib.find_name(flow.iif), oif=fib.find_name(flow.oif))
    question = question._replace(flow=flow)
    if missing := find_missing_link(fib, flow):
        raise UnknownLinkError(missing)
    explained = explain(fib, question)
    doubt = _find_doubt(fib, explained)
    if doubt is not None:
        return Answers(question, fib, explained, difference=doubt)
    decision, sent = reader.find_winner(question, fib), reader.find_way(question, fib)
    return Answers(
        question,
        fib,
        explained,
        decision,
        sent,
        find_disagreement(explained, decision, sent, choose_source(fib, explained)),
    )


def find_missing_link(fib: Fib, flow: Flow) -> str:
    """The link by which the packet is to come or go, and that is not there; empty where none is missing."""
    return next((name for name in (flow.iif, flow.oif) if name and name not in fib.links), "")


def _find_doubt(fib: Fib, explained: Explanation) -> Doubt | None:
    """Why the kernel cannot be asked."""
    question = explained.question
    flow = question.flow
    is_ipv4 = family_of(question.destination) == IPV4
    is_strange = is_ipv4 and flow.source and not flow.iif and flow.source not in fib.own
    if is_strange:
        return Doubt.NOT_OWN
    is_undecided = not explained.steps and explained.route is None and not explained.errno
    return Doubt.MULTICAST if is_undecided else None


class _Ours(NamedTuple):
    """One object that an entry wants, beside what the kernel has."""

    want: WantDocument
    object: FibObject
    stands: bool


class Describer:
    """Makes the document of one reading."""

    def __init__(self, answers: Answers, wants: WantsDocument, vocabulary: Vocabulary) -> None:
        self._answers = answers
        self._vocabulary = vocabulary
        marks = Marks(wants["protocol"], frozenset(wants["former_protocols"]), frozenset(wants.get("protocols", ())))
        self._stamps = {kind: make_stamp(kind, marks) for kind in _MAKE}
        self._makers = {_read_key(one["packed"]): one["who"] for one in wants["makers"]}
        wanted = ((want, read_object(want["packed"])) for want in wants["wants"])
        self._ours = [self._match(want, one) for want, one in wanted]

    def describe(self, unknown: Sequence[str]) -> WhyDocument:
        """The whole of it."""
        question, fib, explained, *_ = self._answers
        behind = find_behind(fib, explained, (Contender(one.object, one.stands) for one in self._ours))
        document = WhyDocument(
            schema="routed.why/1",
            address=format_address(question.destination),
            packet=describe_flow(question.flow),
            decision=self._describe_decision(explained),
            steps=[self._describe_step(step) for step in explained.steps],
            outranked=[self._describe_outranked(one) for one in behind],
            kernel=self._describe_kernel(),
            unknown=list(unknown),
        )
        if explained.otherwise is not None:
            document["otherwise"] = self._describe_decision(explained.otherwise)
        return document

    def _match(self, want: WantDocument, wanted: WantedObject) -> _Ours:
        """The object of ours that stands for what is wanted, or what is wanted itself."""
        key, value = wanted
        fib = self._answers.fib
        standing: list[FibObject] = [*fib.rules, *list_for(fib, self._answers.question.destination)]
        for one in standing:
            if one.key == key and self._is_ours(one):
                return _Ours(want, one, stands=True)
        return _Ours(want, _MAKE[key.kind](key.slot, key.member, value), stands=False)

    def _own(self, one: FibObject) -> Owner:
        return self._stamps[one.key.kind](one.value)

    def _is_ours(self, one: FibObject) -> bool:
        return self._own(one).is_ours

    def _describe_decision(self, explained: Explanation) -> DecisionDocument:
        document = DecisionDocument(
            outcome=_find_outcome(explained),
            error=strerror(explained.errno) if explained.errno else "",
            aside=describe_reason(explained.aside),
            source=_name_source(choose_source(self._answers.fib, explained)),
            hops=[self._describe_hop(hop) for hop in explained.hops],
            equals=[self._describe_object(one) for one in explained.equals],
            unseen=[self._describe_object(one) for one in explained.unseen],
        )
        if explained.route is not None:
            document["route"] = self._describe_object(explained.route)
        if explained.rule is not None:
            document["rule"] = self._describe_object(explained.rule)
        return document

    def _describe_step(self, step: WayStep) -> WayStepDocument:
        document = WayStepDocument(
            rule=self._describe_object(step.rule),
            why=name_reason(step.why),
            selector=step.why.selector if isinstance(step.why, NotFor) else "",
            reason=describe_reason(step.why),
        )
        if step.route is not None:
            document["route"] = self._describe_object(step.route)
        return document

    def _describe_outranked(self, behind: Outranked) -> OutrankedDocument:
        ours = next(one for one in self._ours if one.object is behind.contender.object)
        return OutrankedDocument(
            object=self._describe_object(ours.object),
            stands=ours.stands,
            state=ours.want["state"] if ours.stands or ours.want["state"] != State.IN_SYNC else "missing",
            since=ours.want["since"],
            why=name_reason(behind.why) if behind.why else "",
            reason=ours.want["reason"],
            hindrance=describe_reason(behind.why),
            in_front=[self._describe_object(one) for one in behind.in_front],
            passed=[self._describe_step(step) for step in behind.passed],
        )

    def _describe_object(self, one: FibObject) -> OwnedDocument:
        vocabulary, is_ours = self._vocabulary, self._is_ours(one)
        want = next((ours.want for ours in self._ours if is_ours and ours.object.key == one.key), None)
        owner = "ours" if want else "left over" if is_ours else _OWNERS[self._own(one)]
        return OwnedDocument(
            kind=str(one.key.kind),
            object=_format(one, vocabulary),
            owner=owner,
            entry=want["entry"] if want else "",
            origin=want["origin"] if want else "",
            protocol=vocabulary.protocol(one.value.protocol),
            who="" if is_ours else self._makers.get(one.key, ""),
            ip=to_json(one.key, one.value, vocabulary),
        )

    def _describe_hop(self, hop: Hop) -> HopDocument:
        dev = self._vocabulary.link(hop.dev) if hop.dev else ""
        return HopDocument(dev=dev, gateway=format_address(hop.gateway) if hop.gateway else "")

    def _describe_kernel(self) -> KernelDocument:
        _, _, _, decision, sent, difference = self._answers
        if decision is None or sent is None:
            return KernelDocument(agrees=None, reason=describe_reason(difference), error="", route="", source="")
        winner = decision.winner
        errno = sent.errno or (decision.errno if isinstance(difference, Disagreement) else 0)
        route = (
            format_object(Key(Kind.ROUTE, winner.slot, winner.member), winner.value, self._vocabulary) if winner else ""
        )
        document = KernelDocument(
            agrees=difference is None,
            reason=describe_reason(difference),
            error=strerror(errno) if errno else "",
            route=route,
            source=format_address(sent.source) if sent.source else "",
        )
        if not sent.errno:
            document["hop"] = self._describe_hop(Hop(sent.dev, sent.gateway))
        return document


def _format(one: FibObject, vocabulary: Vocabulary) -> str:
    """A route whole; of a rule all but whose it is, which is told beside it."""
    if isinstance(one, FibRule):
        return format_key(one.key, vocabulary)
    return format_object(one.key, one.value, vocabulary)


def _read_key(packed: Mapping[str, Any]) -> Key:
    return read_object({**packed, "value": packed.get("value")}).key


def _name_source(source: bytes | None) -> str:
    return format_address(source) if source else ""


def _find_outcome(explained: Explanation) -> str:
    if explained.errno:
        return "dropped" if find_decider(explained) or explained.aside else "lost"
    if explained.route is None:
        special = "multicast" if is_multicast(explained.question.destination) else "broadcast"
        return "sent" if explained.hops else special
    return _OUTCOMES.get(explained.route.value.type, "sent")


def name_reason(reason: Reason) -> str:
    """The word of a reason for a program: ``no-route``."""
    if isinstance(reason, Plain):
        return reason.name.lower().replace("_", "-")
    return "not-for" if isinstance(reason, NotFor) else type(reason).__name__.lower()


def describe_flow(flow: Flow) -> dict[str, str | int]:
    """What was said of the packet, by the words of the options."""
    told: dict[str, str | int] = {
        "from": format_address(flow.source) if flow.source else "",
        "iif": flow.iif,
        "oif": flow.oif,
        "mark": flow.mark,
        "tos": flow.tos,
        "proto": names.name_or_number(names.IP_PROTOCOLS, flow.ipproto) if flow.ipproto else "",
        "sport": flow.sport,
        "dport": flow.dport,
        "uid": flow.uid or 0,
    }
    return {word: one for word, one in told.items() if one}


def make_vocabulary(fib: Fib, wants: WantsDocument, host_names: Mapping[str, Mapping[int, str]]) -> Vocabulary:
    """The names of links, tables and protocols, with those of the host's own files."""
    tables = {int(number): name for number, name in wants["tables"].items()}
    return Vocabulary(
        {link.ifindex: name for name, link in fib.links.items()},
        {**names.TABLES, **host_names["tables"], **tables},
        {**names.PROTOCOLS, **host_names["protocols"], wants["protocol"]: "routed"},
    )
