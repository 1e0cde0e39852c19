"""The words of ip, as text and as JSON: each statement is a table of ours, and what is none is named with its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from routed.intent.importing.formats import Text, read_texts
from routed.intent.importing.writing import write
from routed.model import attributes
from routed.model.attributes import Metric, MetricForm, Word, WordForm
from routed.model.net import FAMILIES, IPV6
from tests.unit.intent.importing_help import imported, route


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("default via 192.0.2.1 dev eth0", {"to": "default", "via": "192.0.2.1", "dev": "eth0"}),
        ("default dev ppp0 scope link", {"to": "default", "family": "ipv4", "dev": "ppp0"}),
        ("default dev ppp0 metric 1024 pref medium", {"to": "default", "family": "ipv6", "dev": "ppp0"}),
        ("10.0.0.0/8 via 192.0.2.1 metric 50", {"to": "10.0.0.0/8", "via": "192.0.2.1", "metric": 50}),
        ("2001:db8::/32 via fe80::1 dev eth0 metric 1024 pref medium",
         {"to": "2001:db8::/32", "via": "fe80::1", "dev": "eth0"}),
        ("10.0.0.0/8 via inet6 fe80::1 dev eth0", {"to": "10.0.0.0/8", "via": "fe80::1", "dev": "eth0"}),
        ("blackhole 10.0.0.0/8", {"to": "10.0.0.0/8", "type": "blackhole"}),
        ("unreachable default dev lo metric 4294967295 pref medium",
         {"to": "default", "family": "ipv6", "type": "unreachable", "metric": 4294967295}),
        ("10.0.0.0/8 dev eth0 scope link src 192.0.2.9", {"to": "10.0.0.0/8", "dev": "eth0", "src": "192.0.2.9"}),
        ("10.0.0.0/8 via 192.0.2.1 mtu lock 1400 advmss 1360 quickack 1 congctl bbr",
         {"to": "10.0.0.0/8", "via": "192.0.2.1", "mtu": 1400, "lock": ["mtu"], "advmss": 1360, "quickack": True,
          "congctl": "bbr"}),
        ("10.0.0.0/8 via 192.0.2.1 dev eth0 table 120 tos 0x10 onlink linkdown",
         {"to": "10.0.0.0/8", "via": "192.0.2.1", "dev": "eth0", "table": 120, "tos": "0x10", "onlink": True}),
        ("10.0.0.0/8\n\tnexthop via 192.0.2.1 dev eth0 weight 2\n\tnexthop via 192.0.2.2 dev eth1 weight 1",
         {"to": "10.0.0.0/8", "hops": [{"via": "192.0.2.1", "dev": "eth0", "weight": 2},
                                       {"via": "192.0.2.2", "dev": "eth1", "weight": 1}]}),
        ("10.0.0.0/8 via 192.0.2.1 realm 5", {"to": "10.0.0.0/8", "via": "192.0.2.1", "realms": 5}),
        ("10.0.0.0/8 via 192.0.2.1 realms 1/2 rtt 2s rttvar 1.5s features ecn tcp_usec_ts rto_min lock 20ms",
         {"to": "10.0.0.0/8", "via": "192.0.2.1", "realms": "1/2", "rtt": "2s", "rttvar": "1.5s",
          "features": ["ecn", "tcp_usec_ts"], "rto_min": "20ms"}),
        ("ip route add 10.0.0.0/8 via 192.0.2.1 rto_min 300 rtt 80 fastopen_no_cookie on",
         {"to": "10.0.0.0/8", "via": "192.0.2.1", "rto_min": "300ms", "rtt": "10ms", "fastopen_no_cookie": True}),
        ("10.0.0.0/8\n\tnexthop via 192.0.2.1 realm 7 dev eth0 weight 2\n\tnexthop dev eth1 weight 1",
         {"to": "10.0.0.0/8", "hops": [{"via": "192.0.2.1", "dev": "eth0", "weight": 2, "realms": 7},
                                       {"dev": "eth1", "weight": 1}]}),
        ("2001:db8::/32 from 2001:db8:1::/48 via fe80::1 dev eth0 metric 1024 pref high",
         {"to": "2001:db8::/32", "via": "fe80::1", "dev": "eth0", "from": "2001:db8:1::/48", "pref": "high"}),
        ("default from 2001:db8:1::/48 dev eth0 metric 1024 pref low",
         {"to": "default", "dev": "eth0", "from": "2001:db8:1::/48", "pref": "low"}),
        ("ip route replace 10.0.0.0/8 via 192.0.2.1", {"to": "10.0.0.0/8", "via": "192.0.2.1"}),
        ("ip -6 route add default dev tun0 || true", {"to": "default", "family": "ipv6", "dev": "tun0"}),
        ("/sbin/route add -net 10.0.0.0 netmask 255.128.0.0 gw 192.0.2.1 dev eth0",
         {"to": "10.0.0.0/9", "via": "192.0.2.1", "dev": "eth0"}),
        ("route add default gw 192.0.2.1 eth0", {"to": "default", "via": "192.0.2.1", "dev": "eth0"}),
    ],
)  # fmt: skip
def test_routes_in_the_words_of_ip(line: str, expected: dict[str, Any]) -> None:
    assert route("ip", line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1200:\tfrom 10.20.0.0/21 lookup 120", {"priority": 1200, "from": "10.20.0.0/21", "table": 120}),
        ("9:\tnot from all fwmark 0x1/0xff lookup main",
         {"priority": 9, "family": "ipv4", "not": True, "fwmark": "0x1/0xff", "table": "main"}),
        ("9:\tfrom all to 2001:db8::/32 iif eth0 [detached] oif lo lookup 7",
         {"priority": 9, "to": "2001:db8::/32", "iif": "eth0", "oif": "lo", "table": 7}),
        ("9:\tfrom all ipproto tcp sport 80 dport 1000-2000 uidrange 7-9 lookup 7",
         {"priority": 9, "family": "ipv4", "ipproto": "tcp", "sport": 80, "dport": "1000-2000", "uidrange": "7-9",
          "table": 7}),
        ("9:\tfrom all lookup main suppress_prefixlength 0",
         {"priority": 9, "family": "ipv4", "table": "main", "suppress_prefixlength": 0}),
        ("9:\tfrom all sport 0x50/0xfff0 dport 80/0xfff0 dscp 8 lookup 7",
         {"priority": 9, "family": "ipv4", "sport": "0x50/0xfff0", "dport": "80/0xfff0", "dscp": 8, "table": 7}),
        ("9:\tfrom 2001:db8::/32 dscp 0x8/0x38 flowlabel 0x300/0xff00 lookup 7",
         {"priority": 9, "from": "2001:db8::/32", "dscp": "0x8/0x38", "flowlabel": "0x300/0xff00", "table": 7}),
        ("1000:\tfrom all lookup [l3mdev-table]", {"priority": 1000, "family": "ipv4", "l3mdev": True}),
        ("9:\tfrom 10.0.0.0/8 unreachable", {"priority": 9, "from": "10.0.0.0/8", "type": "unreachable"}),
        ("ip rule add from 10.0.0.0/8 table 7 pref 9 tos 0x10",
         {"priority": 9, "from": "10.0.0.0/8", "table": 7, "tos": "0x10"}),
        ("ip -6 rule add iif eth0 lookup 7 priority 9", {"priority": 9, "family": "ipv6", "iif": "eth0", "table": 7}),
        ("ip rule add from 10.0.0.0/8 table 7", {"priority": 32765, "from": "10.0.0.0/8", "table": 7}),
    ],
)  # fmt: skip
def test_rules_in_the_words_of_ip(line: str, expected: dict[str, Any]) -> None:
    tables, left_out = imported("ip", line)
    assert (tables, left_out) == ({"rule": [expected]}, [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ip addr add 192.0.2.1/24 dev eth0", {"address": "192.0.2.1/24", "dev": "eth0"}),
        ("ip a add 192.0.2.1/24 brd + dev eth0 label eth0:a scope link",
         {"address": "192.0.2.1/24", "dev": "eth0", "broadcast": "+", "label": "eth0:a", "scope": "link"}),
        ("ip -6 address add 2001:db8::1/64 dev eth0 nodad preferred_lft 0 valid_lft forever",
         {"address": "2001:db8::1/64", "dev": "eth0", "nodad": True, "preferred_lft": 0}),
        ("ip addr add 192.0.2.1 peer 192.0.2.2 dev tun0 noprefixroute metric 7",
         {"address": "192.0.2.1/32", "dev": "tun0", "peer": "192.0.2.2", "noprefixroute": True, "metric": 7}),
    ],
)  # fmt: skip
def test_addresses_in_the_words_of_ip(line: str, expected: dict[str, Any]) -> None:
    assert imported("ip", line) == ({"address": [expected]}, [])


WRITTEN: Mapping[MetricForm | WordForm, str] = {
    attributes.NUMBER: "7", attributes.FLAG: "1", attributes.NAME: "bbr", attributes.TIME: "20ms",
    attributes.LIST: "ecn", attributes.MASKED: "8", attributes.REALMS: "1/2", attributes.CHOICE: "high",
    attributes.ENCAPSULATION: "ip id 7 dst 192.0.2.9",
}  # fmt: skip
OF_ROUTES = (*attributes.METRIC_WORDS, *attributes.ROUTE_WORDS, *attributes.HOP_WORDS)
OF_RULES = (*attributes.RULE_WORDS, *attributes.RULE_VALUE_WORDS)


@pytest.mark.parametrize("row", [*OF_ROUTES, *OF_RULES], ids=lambda row: row.name)
def test_every_word_of_the_table_of_attributes_is_read(row: Metric | Word) -> None:
    is_ipv6 = getattr(row, "families", FAMILIES) == (IPV6,)
    prefix, gateway = ("2001:db8::/32", "fd00::1") if is_ipv6 else ("10.0.0.0/8", "192.0.2.1")
    lock = "lock " if getattr(row, "is_locked", False) else ""
    said = f"{row.name} {lock}{WRITTEN[row.form]}"
    line = f"9:\tfrom {prefix} {said} lookup 7" if row in OF_RULES else f"{prefix} via {gateway} {said}"
    tables, left_out = imported("ip", line)
    assert left_out == []
    assert row.name in tables["rule" if row in OF_RULES else "route"][0]


LINK = "2: eth0@if3: <UP,LOWER_UP> mtu 1500 qdisc noqueue\n    link/ether 06:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
FOREVER = "       valid_lft forever preferred_lft forever"


@pytest.mark.parametrize(
    ("text", "table", "expected"),
    [
        ("id 7 via 192.0.2.1 dev eth0 scope link proto static onlink linkdown", "nexthop",
         {"id": 7, "via": "192.0.2.1", "dev": "eth0", "onlink": True}),
        ("id 8 encap ip id 7 dst 192.0.2.9 via 192.0.2.1 dev eth0 scope link", "nexthop",
         {"id": 8, "via": "192.0.2.1", "dev": "eth0", "encap": {"type": "ip", "id": 7, "dst": "192.0.2.9"}}),
        ('[{"id":8,"encap":"mpls","dst":"100/200","gateway":"192.0.2.1","dev":"eth0","flags":[]}]', "nexthop",
         {"id": 8, "via": "192.0.2.1", "dev": "eth0", "encap": {"type": "mpls", "labels": "100/200"}}),
        ('[{"id":8,"encap":{"encap_type":"mpls","dst":"100/200"},"gateway":"192.0.2.1","dev":"eth0","flags":[]}]',
         "nexthop", {"id": 8, "via": "192.0.2.1", "dev": "eth0", "encap": {"type": "mpls", "labels": "100/200"}}),
        ('[{"dst":"10.4.0.0/16","encap":{"encap_type":"ip","id":7,"dst":"10.9.9.9","key":null},"dev":"eth0"}]', "route",
         {"to": "10.4.0.0/16", "dev": "eth0", "encap": {"type": "ip", "id": 7, "dst": "10.9.9.9", "key": True}}),
        ("id 10 blackhole", "nexthop", {"id": 10, "blackhole": True}),
        ("ip -6 nexthop replace id 7 dev eth0", "nexthop", {"id": 7, "dev": "eth0", "family": "ipv6"}),
        ("192.0.2.5 dev eth0 lladdr 02:00:00:00:00:05 PERMANENT proto static", "neighbour",
         {"to": "192.0.2.5", "dev": "eth0", "lladdr": "02:00:00:00:00:05"}),
        ("2001:db8::5 dev eth0 lladdr 02:00:00:00:00:05 router PERMANENT", "neighbour",
         {"to": "2001:db8::5", "dev": "eth0", "lladdr": "02:00:00:00:00:05", "router": True}),
        ("192.0.2.6 dev eth0 proxy", "neighbour", {"to": "192.0.2.6", "dev": "eth0", "proxy": True}),
        ("ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:05 nud permanent dev eth0", "neighbour",
         {"to": "192.0.2.5", "lladdr": "02:00:00:00:00:05", "dev": "eth0"}),
        ("ip neigh add proxy 192.0.2.6 dev eth0", "neighbour", {"to": "192.0.2.6", "proxy": True, "dev": "eth0"}),
        (LINK + "    inet 192.0.2.1/24 metric 7 brd 192.0.2.255 scope link noprefixroute eth0:a\n" + FOREVER, "address",
         {"address": "192.0.2.1/24", "dev": "eth0", "metric": 7, "broadcast": "192.0.2.255", "scope": "link",
          "noprefixroute": True, "label": "eth0:a"}),
        ("2: eth0    inet6 2001:db8::1/64 scope global deprecated nodad proto static \\ preferred_lft 0sec", "address",
         {"address": "2001:db8::1/64", "dev": "eth0", "preferred_lft": 0, "nodad": True}),
        ("2: eth0    inet 192.0.2.1 peer 192.0.2.2/32 scope global eth0\\       valid_lft forever",
         "address", {"address": "192.0.2.1/32", "dev": "eth0", "peer": "192.0.2.2"}),
    ],
)  # fmt: skip
def test_next_hops_neighbours_and_what_ip_address_shows(text: str, table: str, expected: dict[str, Any]) -> None:
    assert imported("ip", text) == ({table: [expected]}, [])


@pytest.mark.parametrize("leads", ["via 192.0.2.1 dev eth0", "\n\tnexthop via 192.0.2.1 dev eth0 weight 2", ""])
def test_where_a_route_over_a_next_hop_leads_is_said_of_the_next_hop(leads: str) -> None:
    shown = f"10.0.0.0/8 nhid 7 {leads}\n"
    tables, left_out = imported("ip", f"id 7 via 192.0.2.1 dev eth0 scope link\n{shown}")
    assert (tables["route"], left_out) == ([{"to": "10.0.0.0/8", "nhid": 7}], [])
    tables, (told,) = imported("ip", shown)
    assert tables == {}
    assert "the file does not take it: " in told


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("default via 192.0.2.1 dev eth0 proto dhcp metric 100", "route default: DHCP made it (proto dhcp)"),
        ("192.0.2.0/24 dev eth0 proto kernel scope link", "route 192.0.2.0/24: the kernel made it by itself"),
        ("10.0.0.0/8 via 192.0.2.1 proto bird", "a program keeps it under this number (proto bird)"),
        ("172.17.0.0/16 dev docker0 scope link", "it stands on docker0, which Docker makes"),
        ("0:\tfrom all lookup local", "rule 0: the kernel made it by itself"),
        ("9:\tfrom all lookup 7 proto keepalived", "rule 9: a program keeps it"),
        ("10.0.0.0/8 encap bpf in prog.o via 192.0.2.1", "it has `encap bpf`, which the file has no word for"),
        (
            "10.0.0.0/8 encap seg6 mode none segs fd00::a via 192.0.2.1",
            'the file does not take it: `encap.mode` must be "inline"',
        ),
        ("10.0.0.0/8 via 192.0.2.1 pref high", "the file does not take it: "),
        ("10.0.0.0/8 via 192.0.2.1 rto_min 20ms", "its rto_min is not locked, so that it does nothing"),
        ("10.0.0.0/8 via 192.0.2.1 rtt soon", "its rtt is no time: soon"),
        ("10.0.0.0/8 via 192.0.2.1 features surprise", "the file does not take it: "),
        ("2001:db8::/32 via fe80::1 dev eth0 metric 1024 expires 99sec pref medium", "it has `expires`"),
        ("id 7 via 192.0.2.1 dev eth0 proto zebra", "nexthop 7: a program keeps it under this number (proto zebra)"),
        ("192.0.2.5 dev eth0 lladdr 02:00:00:00:00:05 STALE", "the kernel found it out by itself, and forgets it"),
        ("192.0.2.5 dev docker0 lladdr 02:00:00:00:00:05 PERMANENT", "it stands on docker0, which Docker makes"),
        (
            "2: eth0: <UP> mtu 1500\n    inet 192.0.2.1/24 scope global dynamic eth0\n       valid_lft 9sec",
            "address 192.0.2.1/24: it has a lifetime",
        ),
        (
            "2: eth0    inet6 fe80::1/64 scope link stable-privacy \\       valid_lft forever preferred_lft forever",
            "address fe80::1/64: the kernel made it by itself",
        ),
        ("xresolve 239.0.0.0/8 dev eth0", "its type is xresolve"),
        ("9:\tfrom all tun_id 7 lookup 7", "it has `tun_id`"),
        ("10.0.0.0/8 via 192.0.2.1 surprise 7", "`surprise` is not known"),
        ("10.0.0.0/8 via", "nothing follows `via`"),
        ("10.0.0.0/33 via 192.0.2.1", "the file does not take it: "),
        ("10.0.0.0/8 via 192.0.2.1 table nobody", 'the file does not take it: `table`: unknown table "nobody"'),
        ("ip route add 10.0.0.0/8 via $GATEWAY", "a shell has to read it: "),
        ("ip route del 10.0.0.0/8", "a command that adds no route, rule, address, "),
        ("ip link set eth0 up", "a command that adds no route, rule, address, "),
        ("ip addr add 192.0.2.1/24 dev eth0 valid_lft 3600", "it has a lifetime (valid_lft)"),
        ("route add -net 10.0.0.0 netmask 255.0.255.0 gw 192.0.2.1", "its ones are not at its beginning"),
        ("ip route add 10.0.0.0/8 'via", "it is no command"),
    ],
)
def test_what_cannot_be_said_is_named_with_its_line_and_the_reason(line: str, reason: str) -> None:
    tables, (told,) = imported("ip", f"# a comment\n{line}\n")
    assert tables == {}
    assert told.startswith("routes:2")
    assert reason in told


JSON = """[
{"dst":"default","gateway":"192.0.2.1","dev":"eth0","protocol":"dhcp","metric":100,"flags":[]},
{"dst":"10.0.0.0/8","gateway":"192.0.2.1","dev":"eth0","protocol":"static","metric":50,"flags":["onlink"],
 "metrics":[{"mtu":1400}],"prefsrc":"192.0.2.9","table":"120"},
{"dst":"10.1.0.0/16","protocol":"static","flags":[],
 "nexthops":[{"gateway":"192.0.2.1","dev":"eth0","weight":2,"flags":[]},{"dev":"eth1","weight":1,"flags":[]}]},
{"type":"blackhole","dst":"10.2.0.0/16","protocol":"boot","flags":[]},
{"dst":"10.3.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[]},
{"dst":"10.4.0.0/16","encap":"mpls","dst":"100/200","gateway":"192.0.2.1","flags":[]},
{"dst":"10.5.0.0/16","encap":"ip","id":7,"src":"0.0.0.0","dst":"10.9.9.9","ttl":0,"tos":0,"key":true,"tos":"0x10",
 "gateway":"192.0.2.1","dev":"eth0","flags":[]},
{"dst":"10.6.0.0/16","flags":[],"nexthops":[
 {"encap":"seg6","mode":"encap","segs":["fd00::a"],"gateway":"192.0.2.1","dev":"eth0","weight":1,"flags":[]},
 {"gateway":"192.0.2.2","dev":"eth0","weight":1,"flags":[]}]},
{"dst":"fd04::2","encap":"seg6local","action":"End.T","table":"100","dev":"eth0","table":"7","metric":1024,"flags":[]},
{"dst":"10.7.0.0/16","encap":"bpf","in":{"prog":"p"},"gateway":"192.0.2.1","flags":[]},
{"priority":9,"src":"10.20.0.0","srclen":21,"fwmark":"0x1","fwmask":"0xff","table":"120"},
{"priority":10,"not":null,"src":"all","iif":"eth0","iif_detached":null,"dport_start":80,"dport_end":90,"table":"7"},
{"priority":32766,"src":"all","table":"main"},
{"ifname":"eth0","addr_info":[
 {"family":"inet","local":"192.0.2.9","prefixlen":24,"broadcast":"192.0.2.255","scope":"global","label":"eth0:a",
  "valid_life_time":4294967295,"preferred_life_time":4294967295},
 {"family":"inet","local":"192.0.2.10","prefixlen":24,"scope":"global","dynamic":true,"label":"eth0"},
 {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]}
]"""


ENCAPS = """\
10.1.0.0/16  encap mpls 100/200 ttl 5 via 192.0.2.1 dev eth0
10.2.0.0/16  encap ip id 7 src 0.0.0.0 dst 10.9.9.9 ttl 0 tos 0 key csum tos 0x10 via 192.0.2.1 dev eth0
10.3.0.0/16
	nexthop  encap ip6 id 7 src :: dst fd00::9 hoplimit 0 tc 0 via 192.0.2.1 dev eth0 weight 3
	nexthop  encap seg6 mode encap segs 1 [ fd00::a ] via 192.0.2.1 dev eth0 weight 1
fd01::/64  encap seg6 mode inline segs 2 [ fd00::a :: ] via fd00::2 dev eth0 metric 1024 pref medium
fd02::1  encap seg6local action End.DT6 table 100 dev eth0 table 7 metric 1024 pref medium
ip -6 route add fd03::/64 encap seg6 mode encap segs fd00::a,fd00::b via fd00::2
"""


def test_encapsulations_are_read_as_ip_shows_and_takes_them() -> None:
    tables, left_out = imported("ip", ENCAPS)
    assert left_out == []
    via = {"via": "192.0.2.1", "dev": "eth0"}
    assert tables["route"] == [
        {"to": "10.1.0.0/16", **via, "encap": {"type": "mpls", "labels": "100/200", "ttl": 5}},
        {"to": "10.2.0.0/16", **via, "tos": "0x10",
         "encap": {"type": "ip", "id": 7, "dst": "10.9.9.9", "key": True, "csum": True}},
        {"to": "10.3.0.0/16",
         "hops": [{"encap": {"type": "ip6", "id": 7, "dst": "fd00::9"}, **via, "weight": 3},
                  {"encap": {"type": "seg6", "mode": "encap", "segs": ["fd00::a"]}, **via, "weight": 1}]},
        {"to": "fd01::/64", "via": "fd00::2", "dev": "eth0",
         "encap": {"type": "seg6", "mode": "inline", "segs": ["fd00::a"]}},
        {"to": "fd02::1", "dev": "eth0", "table": 7,
         "encap": {"type": "seg6local", "action": "End.DT6", "table": 100}},
        {"to": "fd03::/64", "via": "fd00::2",
         "encap": {"type": "seg6", "mode": "encap", "segs": ["fd00::a", "fd00::b"]}},
    ]  # fmt: skip


def test_json_of_ip_says_the_same() -> None:
    tables, left_out = imported("ip", JSON)
    assert tables == {
        "address": [
            {"address": "192.0.2.9/24", "dev": "eth0", "broadcast": "192.0.2.255", "label": "eth0:a"},
        ],
        "route": [
            {"to": "10.0.0.0/8", "via": "192.0.2.1", "dev": "eth0", "onlink": True, "src": "192.0.2.9", "table": 120,
             "metric": 50, "mtu": 1400},
            {"to": "10.1.0.0/16",
             "hops": [{"via": "192.0.2.1", "dev": "eth0", "weight": 2}, {"dev": "eth1", "weight": 1}]},
            {"to": "10.2.0.0/16", "type": "blackhole"},
            {"to": "10.3.0.0/16", "via": "fe80::1", "dev": "eth0"},
            {"to": "10.4.0.0/16", "via": "192.0.2.1", "encap": {"type": "mpls", "labels": "100/200"}},
            {"to": "10.5.0.0/16", "via": "192.0.2.1", "dev": "eth0", "tos": "0x10",
             "encap": {"type": "ip", "id": 7, "dst": "10.9.9.9", "key": True}},
            {"to": "10.6.0.0/16",
             "hops": [{"encap": {"type": "seg6", "mode": "encap", "segs": ["fd00::a"]}, "via": "192.0.2.1",
                       "dev": "eth0", "weight": 1},
                      {"via": "192.0.2.2", "dev": "eth0", "weight": 1}]},
            {"to": "fd04::2", "dev": "eth0", "table": 7,
             "encap": {"type": "seg6local", "action": "End.T", "table": 100}},
        ],
        "rule": [
            {"priority": 9, "from": "10.20.0.0/21", "fwmark": "0x1/0xff", "table": 120},
            {"priority": 10, "family": "ipv4", "not": True, "iif": "eth0", "dport": "80-90", "table": 7},
        ],
    }  # fmt: skip
    assert [told.rpartition(": ")[2] for told in left_out] == [
        "DHCP made it (proto dhcp)",
        "it has `encap bpf`, which the file has no word for",
        "the kernel made it by itself",
        "the kernel made it by itself",
        "DHCP or a router advertisement made it",
    ]


@pytest.mark.parametrize("text", ["9:\tfrom all fwmark 7 lookup 7\n", "id 7 dev eth0 scope link\n", "id 7 blackhole\n"])
def test_what_the_text_does_not_say_the_family_of_has_a_comment(text: str) -> None:
    findings = read_texts([Text("shown", text)])
    assert "# the text does not say the family: it is taken for IPv4\n" in write(findings.statements).text
