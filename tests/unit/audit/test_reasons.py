"""Every reason in words: what status, plans, records and notices say."""

from __future__ import annotations

import pytest

from routed.audit.reasons import DETAILED, PLAIN, describe_paused, describe_reason
from routed.model.entries import How, Matcher
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import Key, Kind, RouteSlot
from routed.model.process import Process
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
    DefaultAddress,
    Defect,
    Difference,
    Differs,
    Disagreement,
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
    Lacking,
    LeftAlone,
    Lifeline,
    LinkChange,
    LinkDown,
    LinkTaken,
    LinkTurn,
    Lossy,
    ManyAddresses,
    ManyGone,
    MembersChanged,
    Misfit,
    More,
    Mute,
    NameFits,
    Needed,
    NoAddress,
    NoCarrier,
    NoHolder,
    NoInterface,
    NoIpv6,
    NoLink,
    NoNexthop,
    NoRoutes,
    NotAllowed,
    NotChosen,
    NotFilled,
    NotFirst,
    NotFor,
    NotForwarded,
    NotTold,
    NoWay,
    NoWayWithout,
    Observed,
    OffNetwork,
    OtherMark,
    OtherSource,
    Outdated,
    OutOfBounds,
    Overruled,
    OwnAddress,
    Paused,
    Probed,
    Reaches,
    Reason,
    Required,
    RolledBack,
    SaidNo,
    SameServer,
    ServerOut,
    Several,
    Skipped,
    Slow,
    Snag,
    Snagged,
    SourceFailed,
    SourceMute,
    SourceRefused,
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

HOST, OTHER = parse_address("192.0.2.1"), parse_address("192.0.2.9")
VIP, NETWORK = parse_prefix("10.103.97.2"), parse_prefix("192.0.2.0/24")
REGEX, DEFAULT = Matcher(How.REGEX, "ens.*"), Matcher(How.DEFAULT, "true")
REACH = Matcher(How.CAN_REACH, "10.0.0.9", parse_address("10.0.0.9"), through_gateway=True)
STANDER = Key(Kind.ROUTE, RouteSlot(IPV4, 254, 0), parse_prefix("10.1.0.0/16"))
IP = Process(7, "ip", "ip route del x", "", 0, 0)

SAID: list[tuple[Reason, str]] = [
    (LinkChange(LinkTurn.DELETED, "v0"), "link v0 was deleted"),
    (LinkChange(LinkTurn.DELETED, ""), "a link was deleted"),
    (LinkChange(LinkTurn.APPEARED, "v0"), "link v0 appeared"),
    (
        SourceMute("/x", Mute.ENDED),
        "/x: it ended, and without `every` it has to go on: write `every` if it is to be run again and again",
    ),
    (
        SourceMute("/x", Mute.LATE, "5 s"),
        "/x: it wrote no document in 5 s: write a longer `timeout`, or look what it waits for",
    ),
    (LinkChange(LinkTurn.RENAMED, "v0", "lan0"), "link v0 was renamed to lan0"),
    (LinkChange(LinkTurn.WENT_UP, "v0"), "link v0 went up"),
    (LinkChange(LinkTurn.WENT_DOWN, "v0"), "link v0 went down"),
    (LinkChange(LinkTurn.HAS_CARRIER, "v0"), "link v0 has carrier"),
    (LinkChange(LinkTurn.LOST_CARRIER, "v0"), "link v0 lost carrier"),
    (LinkChange(LinkTurn.OTHER_ALTNAMES, "v0"), "link v0 has other altnames"),
    (LinkChange(LinkTurn.CHANGED, "v0"), "link v0 changed"),
    (AddressChange(AddressTurn.REMOVED, HOST, 24, "v0"), "address 192.0.2.1/24 of v0 was removed"),
    (AddressChange(AddressTurn.REMOVED_BY_US, HOST, 24, "v0"), "address 192.0.2.1/24 of v0 was removed by routed"),
    (AddressChange(AddressTurn.EXPIRED, HOST, 24, "v0"), "address 192.0.2.1/24 of v0 expired"),
    (AddressChange(AddressTurn.REMOVED, HOST), "address 192.0.2.1 was removed"),
    (AddressChange(AddressTurn.CAME, HOST), "address 192.0.2.1 came or changed"),
    (Chosen("wan", "v0"), "@wan is v0 now"),
    (Chosen("wan", ""), "@wan is nothing now"),
    (FileChanged("/etc/routed.toml"), "/etc/routed.toml changed"),
    (FactChanged("check", "wan1"), "check wan1 changed"),
    (AgentSaid("agent:a[10.0.0.1:9]"), "check/agent:a[10.0.0.1:9] says so"),
    (NotTold("check", "wan1"), "check wan1 is not known yet"),
    (Outdated("check", "wan1", "stale"), "check wan1 is stale"),
    (RolledBack(7), "rolled back to revision 7"),
    (NoLink("v0"), "link v0 does not exist"),
    (NoLink("v0", "wan"), "link v0 (@wan) does not exist"),
    (NotChosen("wan"), "@wan is not chosen yet"),
    (LinkDown("v0"), "link v0 is down"),
    (Withdrawn("vip/a", LinkDown("v0")), "vip/a waits: link v0 is down"),
    (
        Withdrawn("vip/a", Condition(False, DefaultAddress(HOST))),
        "vip/a is not needed: 192.0.2.1 is the default-route address",
    ),
    (Observed(LeftAlone.OBSERVED, Flaw.MISSING), "observed only: missing"),
    (Observed(LeftAlone.ONCE, Differs(("hops",))), "installed once, then left alone: differs in its next hops"),
    (NoIpv6("v0", 1500), "there is no IPv6 on link v0: disable_ipv6 is set"),
    (NoIpv6("v0", 1000), "there is no IPv6 on link v0: its MTU is 1000, and IPv6 takes 1280"),
    (LinkDown("v0", HOST), "link v0, towards gateway 192.0.2.1, is down"),
    (OffNetwork(HOST), "gateway 192.0.2.1 is on no network of this host"),
    (NoAddress("v0", "wan"), "link v0 (@wan) has no address that stands for this host"),
    (ManyAddresses("wan", "v0", (HOST, OTHER)), "@wan has several addresses on v0: 192.0.2.1, 192.0.2.9"),
    (Unusable(HOST, "src", Lack.ABSENT), "address 192.0.2.1 (src) is not on this host"),
    (Unusable(HOST, "node", Lack.TENTATIVE), "address 192.0.2.1 (node) is tentative"),
    (Unusable(HOST, "src", Lack.FAILED_DAD), "address 192.0.2.1 (src) failed duplicate address detection"),
    (AlsoStands(HOST, 24, "eth0"), "also on eth0 as 192.0.2.1/24, which may make it a source of this host"),
    (NoCarrier("eth0"), "link eth0 has no carrier"),
    (NoNexthop(7), "next hop 7 is not as it is written"),
    (StoodOn(STANDER, 1), "route 10.1.0.0/16 stands on it"),
    (StoodOn(STANDER, 3), "route 10.1.0.0/16 and 2 more stand on it"),
    (Probed("tcp", Finding.REFUSED, "Connection refused", 3), "tcp: connection refused, 3 in a row"),
    (Probed("icmp", Finding.SILENCE, "2 s"), "icmp: no answer in 2 s"),
    (Snagged("https://192.0.2.1:2379", Snag.SILENT, "10 s"), "https://192.0.2.1:2379: no answer in 10 s"),
    (
        Snagged("http://[2001:db8::1]:2379", Snag.STRANGE),
        "http://[2001:db8::1]:2379: that is no etcd of 3.4 or later",
    ),
    (
        Snagged("etcd", Snag.WRONG_PASSWORD, "joe"),
        "etcd: it does not know joe by this password: see `username` and `password_file`",
    ),
    (Probed("icmp", Finding.NO_GATEWAY, "192.0.2.1"), "icmp: gateway 192.0.2.1 does not answer"),
    (Lossy(0.2, 0.1, 60.0), "20 % loss over 60 s, at most 10 %"),
    (Lossy(1 / 3, 0.05, 2.5), "33.3 % loss over 2.5 s, at most 5 %"),
    (Slow(0.3124, 0.2, 60.0), "median 312 ms over 60 s, at most 200 ms"),
    (TooFew(1, 2, 3, Probed("http", Finding.STATUS, "503")), "1 of 3 targets up, 2 needed, http: status 503"),
    (Required("wan1", is_up=False, why=LinkDown("eth0")), "check/wan1 is down (link eth0 is down)"),
    (Required("wan1", is_up=True, why=None), "check/wan1 is up"),
    (TooFewServers(1, 2, 3, None), "1 of 3 servers up, 2 needed"),
    (
        Required("service/a", is_up=False, why=TooFewServers(1, 2, 3, None)),
        "service/a is down (1 of 3 servers up, 2 needed)",
    ),
    (
        ServerOut(HOST, 443, Required("a", is_up=False, why=None)),
        "server 192.0.2.1:443 is out: check/a is down",
    ),
    (Required("wan1", is_up=False, why=Assumed.IN_PLAN), "check/wan1 is down (assumed)"),
    (Unassumable("wan1", Misfit.FORM, ("a", "b")), '"wan1" cannot be assumed: write a or b'),
    (NoHolder(HOST), "the link of 192.0.2.1 (node) is not known yet"),
    (TooOld("dscp", "6.13"), "this kernel does not know dscp, which came with Linux 6.13"),
    (NoRoutes(77), "table 77 has no route, and the files put none into it"),
    (LinkTaken("v0", "veth"), "link v0 is there already, and is a veth: choose another name, or delete it"),
    (LinkTaken("v0", ""), "link v0 is there already, and is another one: choose another name, or delete it"),
    (NotFirst("v0"), "link v0 has no address of its own yet, and a VIP must not be its first"),
    (
        NotFirst("v0", NETWORK),
        "link v0 has no address of its own in 192.0.2.0/24 yet, and a VIP must not be its first",
    ),
    (
        Stuck(NETWORK, "v0", OTHER),
        (
            "it is the primary address of 192.0.2.0/24 on v0, and 192.0.2.9 could go with it:"
            " delete both by hand, and add that one first"
        ),
    ),
    (Condition(True, Needed.ALWAYS), "needed: the file says always"),
    (Condition(False, DefaultAddress(HOST)), "not needed: 192.0.2.1 is the default-route address"),
    (DefaultAddress(HOST), "192.0.2.1 is the default-route address"),
    (NoWayWithout(VIP), "without it the kernel knows no way to 10.103.97.2"),
    (KernelChooses(HOST, VIP), "the kernel by itself chooses 192.0.2.1 for 10.103.97.2"),
    (NoWay(HOST), "the kernel finds no way to 192.0.2.1"),
    (OwnAddress(HOST), "192.0.2.1 is an address of this host, so no packet to it is routed"),
    (OtherSource(HOST, b""), "packets to 192.0.2.1 leave from no address"),
    (
        OtherSource(HOST, OTHER, "default dev v0"),
        "packets to 192.0.2.1 leave from 192.0.2.9, since default dev v0 wins",
    ),
    (Overruled("default dev v0", ""), "default dev v0 decides"),
    (
        Overruled("default dev v0", "10: from all lookup 52"),
        "default dev v0 decides, by rule 10: from all lookup 52",
    ),
    (Overruled("", "10: from all blackhole"), "rule 10: from all blackhole decides"),
    (
        Overruled("unreachable default", "", 7, Process(7, "ip", "ip route add unreachable default")),
        'unreachable default decides, put there by "ip route add unreachable default" (pid 7)',
    ),
    (
        CutsOff(Lifeline.SESSION, HOST),
        "it would take the way to the SSH session of 192.0.2.1: apply --force lets it",
    ),
    (
        CutsOff(Lifeline.GATEWAY, HOST, "/etc/routed.d/drop.txt:17"),
        (
            "/etc/routed.d/drop.txt:17: it would take the way to gateway 192.0.2.1 of a route of ours:"
            " apply --force lets it"
        ),
    ),
    (
        CutsOff(Lifeline.DEFAULT, bytes(4)),
        "it would take the way to all that only a default route is for: apply --force lets it",
    ),
    (CameTo("v0"), "it came to v0"),
    (InUse("v0"), "link v0 came into use"),
    (OtherMark("protocol"), "the same under another protocol"),
    (Unreadable("Invalid argument"), "it cannot be read: Invalid argument"),
    (Differs(("hops",)), "differs in its next hops"),
    (Differs(("hops", "src")), "differs in its next hops, its source"),
    (Differs(("hops", "src"), is_foreign=True), "foreign, and differs in its next hops, its source"),
    (
        WouldFall((HOST, OTHER)),
        (
            "out of order, and 192.0.2.1, 192.0.2.9 could go or come first while it is put in order:"
            " apply --force does it"
        ),
    ),
    (
        CarriesSession(HOST),
        (
            "out of order, and 192.0.2.1, to which an SSH session goes, would be gone for a moment:"
            " apply --force does it"
        ),
    ),
    (FirstContact(), 'first contact with a foreign default route: say on_conflict = "replace" to take it over'),
    (
        FirstContact(HOST),
        (
            "first contact with a foreign route that carries the SSH session of 192.0.2.1:"
            ' say on_conflict = "replace" to take it over'
        ),
    ),
    (
        TooMany(80, 100, 50),
        "80 of 100 owned objects would go at once, and max_deletes allows 50: apply --force lets them",
    ),
    (SaidNo(19, "No such device"), "No such device"),
    (Unseen(11), "Resource temporarily unavailable: the kernel took it and does not show it"),
    (Fought(30, 2), "undone 30 times within 2 s by another process"),
    (
        Fought(30, 2, 7, IP),
        'undone 30 times within 2 s by another process, last by "ip route del x" (pid 7, uid 0)',
    ),
    (Paused(""), "paused by the operator"),
    (Paused("a test"), "a test"),
    (Draining(1800000000), "it goes when nothing is connected any more, or at 2027-01-15T08:00:00+00:00"),
    (Drained(is_empty=True), "drained: nothing is connected any more"),
    (Drained(is_empty=False), "drained: its time is over"),
    (Claimed("route/lan"), "route/lan wants the same object"),
    (Several((NoLink("v0"), LinkDown("v1"))), "link v0 does not exist; link v1 is down"),
    (CallFailed("No buffer space available"), "No buffer space available"),
    (Defect("KeyError", "'x'"), "a defect in routed (KeyError: 'x')"),
    (Called("v0"), "it is called v0"),
    (NameFits("ens.*"), 'its name fits "ens.*"'),
    (NameFits("ens.*", "ens3f0"), 'its altname ens3f0 fits "ens.*"'),
    (HasAddress(HOST, "192.0.2.0/24"), "it has 192.0.2.1, in 192.0.2.0/24"),
    (Reaches("10.0.0.9"), "10.0.0.9 is on it"),
    (Reaches("10.0.0.9", HOST), "10.0.0.9 is behind 192.0.2.1 on it"),
    (HasMac("52:54:00:12:34:56"), "its MAC address is 52:54:00:12:34:56"),
    (HasDefaultRoute(0), "the default route leads over it"),
    (HasDefaultRoute(100), "the default route leads over it (metric 100)"),
    (HasDriver("virtio_net"), "its driver is virtio_net"),
    (FirstOf(Called("v0"), ("v0", "v1")), "it is called v0, the first of v0, v1"),
    (But(Called("v0"), Unchosen.DOWN), "it is called v0, but it is down"),
    (Skipped("veth*"), 'it is skipped ("veth*")'),
    (Unfit(DEFAULT), "does not fit default = true, which decides"),
    (Unfit(REACH), 'does not fit can_reach = "10.0.0.9", gateway = true, which decides'),
    (MembersChanged("fleet"), "members of source/fleet changed"),
    (ManyGone(4, 10), "4 of 10 members would go within a minute"),
    (SourceFailed("/etc/fleet.json", "it is empty"), "/etc/fleet.json: it is empty"),
    (Lacking("node2", "to"), "member node2 has nothing for `to`"),
    (Lacking("node2", "via", IPV6), "member node2 has nothing of IPv6 for `via`"),
    (NotFilled("node2", "to", '"x" is no prefix'), 'member node2: `to`: "x" is no prefix'),
    (SameServer("node2", HOST, 80, "node1"), "member node2 tells 192.0.2.1:80, as member node1 did before it"),
    (NotAllowed("node2", HOST, is_own=True), "member node2 tells 192.0.2.1, which is this host's own"),
    (NotAllowed("node2", HOST, is_own=False), "member node2 tells 192.0.2.1, which is the gateway of another route"),
    (
        OutOfBounds("node2", "to", "0.0.0.0/0"),
        "member node2: `to` would be 0.0.0.0/0, and the file does not allow its source to say so",
    ),
    (More(7), "and 7 more"),
    (NotFor("fwmark"), "not for it: fwmark"),
    (
        NotForwarded("v0", "net.ipv4.conf.v0.forwarding"),
        "this host does not forward what comes in by v0: net.ipv4.conf.v0.forwarding is 0",
    ),
    (
        SourceRefused(HOST, "v0", is_own=True),
        "what comes in by v0 from 192.0.2.1 is dropped, which is this host's own",
    ),
    (
        SourceRefused(HOST, "v0", is_own=False),
        "what comes in by v0 from 192.0.2.1 is dropped, since its way back is another one (rp_filter) or none",
    ),
    (Disagreement(Difference.ROUTE), "the kernel itself takes another route"),
    (Disagreement(Difference.ERROR, 22), "the kernel itself answers otherwise: Invalid argument"),
    (NoInterface("wan"), "no interface of this host is @wan"),
    (Ambiguous("wan", ("ens1", "ens2"), REGEX), '@wan is ambiguous: ens1, ens2 all fit regex = "ens.*"'),
]


@pytest.mark.parametrize(("reason", "words"), SAID, ids=lambda one: type(one).__name__)
def test_a_reason_is_told_in_these_words(reason: Reason, words: str) -> None:
    assert describe_reason(reason) == words


def test_each_reason_with_data_is_among_them() -> None:
    assert {type(reason) for reason, _ in SAID} == DETAILED.keys()


def test_a_reason_without_data_is_a_clause_that_no_other_one_shares() -> None:
    assert len(set(PLAIN.values())) == len(PLAIN)
    assert [words for words in PLAIN.values() if not words or words.endswith(".") or words != words.strip()] == []


@pytest.mark.parametrize("snag", Snag)
def test_whatever_is_between_a_source_and_us_has_words(snag: Snag) -> None:
    assert describe_reason(Snagged("etcd", snag, "a word")).startswith("etcd: ")


def test_no_reason_has_no_words() -> None:
    assert describe_reason(None) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Paused(""), "paused by the operator"),
        (Paused("a test"), "paused: a test"),
        (Paused("paused for lunch"), "paused: paused for lunch"),
        (LinkDown("v0"), "link v0 is down"),
    ],
)
def test_where_no_state_stands_beside_it_a_pause_is_called_one(reason: Reason, words: str) -> None:
    assert describe_paused(reason) == words
