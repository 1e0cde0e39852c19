"""What other programs' files come to: each statement is a table of ours, and what is none is named with its line."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.intent.importing.formats import FORMATS, Text, guess, read_texts
from routed.intent.importing.netplan import NoYamlError
from routed.intent.importing.writing import write
from routed.intent.load import load_sources
from tests.unit.intent.importing_help import imported, route
from tests.unit.intent.intent_help import source
from tests.unit.intent.test_importing_ip import JSON

# --- netplan ----------------------------------------------------------------------------------------------------------

NETPLAN = """\
network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      addresses:
        - 192.0.2.10/24
        - "2001:db8::10/64":
            lifetime: 0
            label: x
      nameservers: {addresses: [9.9.9.9]}
      routes:
        - {to: default, via: 192.0.2.1, metric: 50}
        - {to: 10.30.0.0/16, via: 192.0.2.2, table: 120, on-link: true, mtu: 1400, from: 192.0.2.10}
        - {to: 10.31.0.0/16, type: blackhole}
        - {to: "::/0", via: "fe80::1", congestion-window: 20}
        - {to: 10.32.0.0/16, via: 192.0.2.3, type: nat}
        - {to: 10.33.0.0/16, via: 192.0.2.3, vlan: 7}
      routing-policy:
        - {from: 10.20.0.0/21, table: 120, priority: 1200, mark: 7}
        - {to: "2001:db8::/32", table: 121}
    lan:
      match: {macaddress: "52:54:00:12:34:56"}
      addresses: [198.51.100.10/24]
      gateway4: 198.51.100.1
    any:
      match: {name: "en*", driver: virtio_net}
      addresses: [198.51.100.11/24]
  bridges:
    br0:
      interfaces: [eth1]
      addresses: [203.0.113.1/24]
"""


def test_netplan() -> None:
    tables, left_out = imported("netplan", NETPLAN.replace("            label: x\n", ""))
    assert tables == {
        "interface": [{"name": "lan", "match": [{"mac": "52:54:00:12:34:56"}]}],
        "address": [
            {"address": "192.0.2.10/24", "dev": "eth0"},
            {"address": "2001:db8::10/64", "dev": "eth0", "preferred_lft": 0},
            {"address": "198.51.100.10/24", "dev": "@lan"},
            {"address": "203.0.113.1/24", "dev": "br0"},
        ],
        "route": [
            {"to": "default", "via": "192.0.2.1", "dev": "eth0", "metric": 50},
            {"to": "10.30.0.0/16", "via": "192.0.2.2", "dev": "eth0", "table": 120, "onlink": True, "mtu": 1400,
             "src": "192.0.2.10"},
            {"to": "10.31.0.0/16", "type": "blackhole"},
            {"to": "default", "via": "fe80::1", "dev": "eth0", "initcwnd": 20},
            {"to": "default", "via": "198.51.100.1", "dev": "@lan"},
        ],
        "rule": [
            {"priority": 1200, "from": "10.20.0.0/21", "table": 120, "fwmark": "7"},
            {"priority": 1199, "to": "2001:db8::/32", "table": 121},
        ],
    }  # fmt: skip
    assert [told.removeprefix("50-lan.yaml:").split(": ", 1) for told in left_out] == [
        ["5", "what DHCP gives to eth0 stays with netplan"],
        ["10", "nameservers of eth0 stays with netplan: the file has no word for it"],
        ["17", "it has vlan, which the file has no word for"],
        ["27", "addresses of any: its interface has to fit driver and name at once, which the file has no word for"],
        ["29", "netplan makes br0: the file has no word for it, but for what is on it"],
        ["30", "interfaces of br0 stays with netplan: the file has no word for it"],
        ["16", left_out[-1].split(": ", 1)[1]],
    ]
    assert 'the file does not take it: `type` must be "unicast"' in left_out[-1]


def test_a_file_that_is_no_yaml_is_named() -> None:
    assert "it is no YAML" in imported("netplan", "network: [\n")[1][0]


def test_without_pyyaml_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(NoYamlError, match=r"apt install python3-yaml, or pip install 'routed\[netplan\]'"):
        read_texts([Text("50-lan.yaml", NETPLAN)])


# --- networkd ---------------------------------------------------------------------------------------------------------

NETWORKD = """\
[Match]
Name=eth0

[Network]
DHCP=ipv4
Address=192.0.2.10/24
Gateway=192.0.2.1
Gateway=_ipv6ra

[Address]
Address=192.0.2.11/24
Label=eth0:web
AddPrefixRoute=no

[Address]
Address=2001:db8::1
PreferredLifetime=0
DuplicateAddressDetection=none

[Route]
Destination=10.30.0.0/16
Gateway=192.0.2.2
GatewayOnLink=yes
Table=120
MTUBytes=1400
Protocol=static

[Route]
Destination=10.31.0.0/16
Type=blackhole

[Route]
Destination=10.33.0.0/16
MultiPathRoute=192.0.2.5@eth0 20
MultiPathRoute=192.0.2.6

[Route]
Destination=::/0
Metric=7

[Route]
Gateway=_dhcp4
Metric=5

[Route]
Destination=10.34.0.0/16
NextHop=7

[Route]
Destination=10.35.0.0/16
Gateway=192.0.2.1
TCPRetransmissionTimeoutSec=300ms

[Route]
Source=2001:db8:1::/48
Gateway=fe80::1
IPv6Preference=high

[NextHop]
Id=7
Gateway=192.0.2.7
OnLink=yes

[NextHop]
Id=8
Blackhole=yes

[NextHop]
Id=10
Family=ipv6

[NextHop]
Id=9
Group=7:2 11

[NextHop]
Id=11
Gateway=192.0.2.11

[NextHop]
Gateway=192.0.2.8

[Neighbor]
Address=192.0.2.5
LinkLayerAddress=02:00:00:00:00:05

[RoutingPolicyRule]
From=10.20.0.0/21
Table=120
Priority=1200
InvertRule=yes

[RoutingPolicyRule]
FirewallMark=7/255
Family=both
Table=121
User=1000-1999

[RoutingPolicyRule]
Type=prohibit
To=0.0.0.0/0
Priority=9

[DHCPv4]
UseDNS=no
"""


def test_networkd() -> None:
    tables, left_out = imported("networkd", NETWORKD)
    assert tables == {
        "address": [
            {"address": "192.0.2.10/24", "dev": "eth0"},
            {"address": "192.0.2.11/24", "dev": "eth0", "label": "eth0:web", "noprefixroute": True},
            {"address": "2001:db8::1/128", "dev": "eth0", "preferred_lft": 0, "nodad": True},
        ],
        "route": [
            {"to": "default", "via": "192.0.2.1", "dev": "eth0"},
            {"to": "10.30.0.0/16", "via": "192.0.2.2", "dev": "eth0", "onlink": True, "table": 120, "mtu": 1400},
            {"to": "10.31.0.0/16", "type": "blackhole"},
            {"to": "10.33.0.0/16",
             "hops": [{"via": "192.0.2.5", "dev": "eth0", "weight": 20}, {"via": "192.0.2.6"}]},
            {"to": "default", "family": "ipv6", "dev": "eth0", "metric": 7},
            {"to": "10.34.0.0/16", "nhid": 7},
            {"to": "10.35.0.0/16", "via": "192.0.2.1", "dev": "eth0", "rto_min": "300ms"},
            {"to": "default", "via": "fe80::1", "dev": "eth0", "from": "2001:db8:1::/48", "pref": "high"},
        ],
        "nexthop": [
            {"id": 7, "via": "192.0.2.7", "onlink": True, "dev": "eth0"},
            {"id": 8, "blackhole": True},
            {"id": 10, "family": "ipv6", "dev": "eth0"},
            {"id": 9, "group": [{"id": 7, "weight": 2}, {"id": 11}]},
            {"id": 11, "via": "192.0.2.11", "dev": "eth0"},
        ],
        "neighbour": [{"to": "192.0.2.5", "dev": "eth0", "lladdr": "02:00:00:00:00:05"}],
        "rule": [
            {"priority": 1200, "from": "10.20.0.0/21", "table": 120, "not": True},
            {"priority": 1199, "family": "both", "fwmark": "7/255", "table": 121, "uidrange": "1000-1999"},
            {"priority": 9, "family": "ipv4", "type": "prohibit"},
        ],
    }  # fmt: skip
    assert [told.removeprefix("10-lan.network:").split(": ", 1) for told in left_out] == [
        ["5", "DHCP=ipv4 stays with networkd: the file has no word for it"],
        ["8", "the gateway is told by a router advertisement, so networkd keeps its route"],
        ["41", "the gateway is told by DHCP, so networkd keeps this route"],
        ["80", "it has no Id=, so that no route of the file could name it"],
        ["104", "[DHCPv4] stays with networkd: the file has no word for it"],
    ]


@pytest.mark.parametrize(
    ("match", "interface"),
    [
        ("Name=en*", [{"regex": "en.*"}]),
        ("Name=eth0 eth1", [{"name": "eth0"}, {"name": "eth1"}]),
        ("MACAddress=52:54:00:12:34:56", [{"mac": "52:54:00:12:34:56"}]),
        ("Driver=virtio_net", [{"driver": "virtio_net"}]),
    ],
)
def test_an_interface_that_networkd_chooses_is_chosen_here(match: str, interface: list[dict[str, str]]) -> None:
    tables, left_out = imported("networkd", f"[Match]\n{match}\n[Network]\nAddress=192.0.2.1/24\n")
    assert tables["interface"] == [{"name": "10-lan", "match": interface}]
    assert tables["address"] == [{"address": "192.0.2.1/24", "dev": "@10-lan"}]
    assert left_out == []


@pytest.mark.parametrize("match", ["Type=ether", "Name=!eth0", "Name=en*\nDriver=virtio_net", ""])
def test_where_our_file_cannot_choose_as_networkd_does_it_is_said(match: str) -> None:
    tables, (told,) = imported("networkd", f"[Match]\n{match}\n[Network]\nAddress=192.0.2.1/24\n")
    assert tables == {}
    assert "which the file has no word for" in told


def test_a_drop_in_of_networkd_is_named() -> None:
    findings = read_texts([Text("/etc/systemd/network/10-lan.network.d/50.conf", "[Network]\n")])
    assert "a drop-in of networkd" in str(findings.leftovers[0])


# --- NetworkManager ---------------------------------------------------------------------------------------------------


def test_networkmanager_routes_have_any_metric_and_a_source() -> None:
    told = route(
        "NetworkManager",
        "[connection]\ninterface-name=eth0\n[ipv6]\nroute1=2001:db8::/32,fe80::1,50\n"
        "route1_options=rto_min=300,quickack=true,hoplimit=9,from=2001:db8:1::/48,lock-mtu=true,mtu=1400\n",
    )
    assert told == {
        "to": "2001:db8::/32", "via": "fe80::1", "dev": "eth0", "metric": 50, "rto_min": "300ms", "quickack": True,
        "hoplimit": 9, "from": "2001:db8:1::/48", "lock": ["mtu"], "mtu": 1400,
    }  # fmt: skip


KEYFILE = """\
[connection]
id=office
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1=192.0.2.10/24,192.0.2.1
address2=192.0.2.11/24
dns=9.9.9.9;
route-metric=70
route1=10.30.0.0/16,192.0.2.2,77
route1_options=table=120,mtu=1400,lock-mtu=true,src=192.0.2.10,onlink=true
route2=10.31.0.0/16
route3=10.32.0.0/16,192.0.2.2
route3_options=weight=7
routing-rule1=priority 1200 from 10.20.0.0/21 table 120

[ipv6]
method=auto
"""


def test_networkmanager() -> None:
    tables, left_out = imported("NetworkManager", KEYFILE)
    assert tables == {
        "address": [{"address": "192.0.2.10/24", "dev": "eth0"}, {"address": "192.0.2.11/24", "dev": "eth0"}],
        "route": [
            {"to": "default", "via": "192.0.2.1", "dev": "eth0", "metric": 70},
            {"to": "10.30.0.0/16", "via": "192.0.2.2", "dev": "eth0", "metric": 77, "table": 120, "mtu": 1400,
             "lock": ["mtu"], "src": "192.0.2.10", "onlink": True},
            {"to": "10.31.0.0/16", "dev": "eth0", "metric": 70},
        ],
        "rule": [{"priority": 1200, "from": "10.20.0.0/21", "table": 120}],
    }  # fmt: skip
    assert [told.removeprefix("office.nmconnection:").split(": ", 1) for told in left_out] == [
        ["10", "dns=9.9.9.9; stays with NetworkManager: the file has no word for it"],
        ["15", "route3: its option weight=7 has no word in the file"],
        ["20", "what auto gives stays with NetworkManager"],
    ]


def test_a_metric_that_networkmanager_chooses_by_the_device_is_spoken_of() -> None:
    findings = read_texts([Text("a.nmconnection", KEYFILE.replace("route-metric=70\n", ""))])
    assert "# NetworkManager gives a metric by the kind of device" in write(findings.statements).text


# --- ifupdown ---------------------------------------------------------------------------------------------------------

INTERFACES = """\
source /etc/network/interfaces.d/*
auto lo
iface lo inet loopback

iface eth0 inet static
    address 192.0.2.10
    netmask 255.255.255.0
    gateway 192.0.2.1
    metric 7
    dns-nameservers 9.9.9.9
    up ip route add 10.30.0.0/16 via 192.0.2.2 dev $IFACE table 120 || true
    up ip rule add from 10.20.0.0/21 \\
        table 120
    up route add -net 10.40.0.0 netmask 255.255.0.0 gw 192.0.2.3
    post-up sysctl -w net.ipv4.ip_forward=1
    down ip route del 10.30.0.0/16 table 120

iface eth0:1 inet static
\taddress\t192.0.2.11/24

iface eth0 inet6 static
    address 2001:db8::10/64
    gateway fe80::1

iface eth1 inet dhcp
iface gre1 inet tunnel
"""


def test_ifupdown() -> None:
    tables, left_out = imported("ifupdown", INTERFACES)
    assert tables == {
        "address": [
            {"address": "192.0.2.10/24", "dev": "eth0"},
            {"address": "192.0.2.11/24", "dev": "eth0", "label": "eth0:1"},
            {"address": "2001:db8::10/64", "dev": "eth0"},
        ],
        "route": [
            {"to": "default", "via": "192.0.2.1", "dev": "eth0", "metric": 7},
            {"to": "10.30.0.0/16", "via": "192.0.2.2", "dev": "eth0", "table": 120},
            {"to": "10.40.0.0/16", "via": "192.0.2.3"},
            {"to": "default", "via": "fe80::1", "dev": "eth0"},
        ],
        "rule": [{"priority": 32765, "from": "10.20.0.0/21", "table": 120}],
    }
    assert [told.removeprefix("interfaces:").split(": ", 1) for told in left_out] == [
        ["1", "source /etc/network/interfaces.d/*: read those files as well, with --from"],
        ["10", "dns-nameservers 9.9.9.9 stays with ifupdown: the file has no word for it"],
        ["15", "a command that sets no route, rule or address: sysctl -w net.ipv4.ip_forward=1"],
        ["16", "down: routed takes away what leaves its file (ip route del 10.30.0.0/16 table 120)"],
        ["25", "what DHCP gives to eth1 stays with ifupdown"],
        ["26", "the method tunnel stays with ifupdown: the file has no word for it"],
    ]


# --- keepalived -------------------------------------------------------------------------------------------------------

KEEPALIVED = """\
! a comment
global_defs {
    router_id web1
}
static_ipaddress {
    192.0.2.20/24 dev eth0 scope global
    192.0.2.21 # no interface
}
static_routes {
    10.30.0.0/16 via 192.0.2.2 dev eth0 track_group GROUP1
    192.168.100.0/24 table 6909 nexthop via 192.168.101.1 dev wlan0
                     onlink weight 1 nexthop via 192.168.101.2
                     dev wlan0 onlink weight 2
    10.31.0.0/16 via 192.0.2.2 realms 5
    blackhole 10.32.0.0/16 priority 12
}
static_rules {
    from 10.20.0.0/21 table 120 preference 1200
    to 10.21.0.0/21 table 120 ip_proto tcp dport 20-30
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_ipaddress {
        192.0.2.80/32 dev eth1 label eth1:1
        192.0.2.81
    }
    virtual_routes {
        10.50.0.0/16 via 192.0.2.9
    }
}
virtual_server 192.0.2.80 443 {
    delay_loop 5
    real_server 10.0.0.11 443 { weight 3 }
}
"""


def test_keepalived() -> None:
    tables, left_out = imported("keepalived", KEEPALIVED)
    assert tables == {
        "address": [{"address": "192.0.2.20/24", "dev": "eth0"}, {"address": "192.0.2.21/32", "dev": "eth0"}],
        "vip": [
            {"address": "192.0.2.80/32", "dev": "eth1", "disabled": True},
            {"address": "192.0.2.81/32", "dev": "eth0", "disabled": True},
        ],
        "route": [
            {"to": "10.30.0.0/16", "via": "192.0.2.2", "dev": "eth0"},
            {"to": "192.168.100.0/24", "table": 6909,
             "hops": [{"via": "192.168.101.1", "dev": "wlan0", "onlink": True, "weight": 1},
                      {"via": "192.168.101.2", "dev": "wlan0", "onlink": True, "weight": 2}]},
            {"to": "10.31.0.0/16", "via": "192.0.2.2", "realms": 5},
            {"to": "10.32.0.0/16", "type": "blackhole", "metric": 12},
            {"to": "10.50.0.0/16", "via": "192.0.2.9", "disabled": True},
        ],
        "rule": [
            {"priority": 1200, "from": "10.20.0.0/21", "table": 120},
            {"priority": 1199, "to": "10.21.0.0/21", "table": 120, "ipproto": "tcp", "dport": "20-30"},
        ],
    }  # fmt: skip
    assert [told.removeprefix("keepalived.conf:").split(": ", 1) for told in left_out] == [
        ["2", "global_defs stays with keepalived: the file has no word for it"],
        ["21", "vrrp_instance VI_1 itself stays with keepalived"],
        ["32", "virtual_server 192.0.2.80 443: write a [[service]], see from-keepalived in the how-tos"],
    ]


def test_what_keepalived_moves_is_out_of_force_until_the_reader_takes_disabled_away() -> None:
    text = write(read_texts([Text("keepalived.conf", KEEPALIVED)]).statements).text
    assert "# keepalived moves it between hosts (vrrp_instance VI_1): take `disabled` away" in text
    names = {entry.name for entry in load_sources((source(text),)).entries}
    assert not [name for name in names if name.startswith("vip/")]
    all_names = {entry.name for entry in load_sources((source(text.replace("disabled = true\n", "")),)).entries}
    assert {"vip/eth1-192.0.2.80-32", "vip/eth0-192.0.2.81-32", "route/10.50.0.0-16"} <= all_names


# --- which format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "format_"),
    [
        ("/etc/netplan/50-cloud-init.yaml", "", "netplan"),
        ("/run/systemd/network/10-netplan-eth0.network", "", "networkd"),
        ("/etc/NetworkManager/system-connections/office.nmconnection", "", "NetworkManager"),
        ("/etc/network/interfaces", "", "ifupdown"),
        ("/etc/network/interfaces.d/eth1", "", "ifupdown"),
        ("/etc/keepalived/keepalived.conf", "", "keepalived"),
        ("stdin", "network:\n  version: 2\n", "netplan"),
        ("stdin", "# mine\n[Match]\nName=eth0\n", "networkd"),
        ("stdin", "[connection]\nid=a\n", "NetworkManager"),
        ("stdin", "auto eth0\niface eth0 inet dhcp\n", "ifupdown"),
        ("stdin", "global_defs {\n", "keepalived"),
        ("stdin", "default via 192.0.2.1 dev eth0\n", "ip"),
        ("stdin", "0:\tfrom all lookup local\n", "ip"),
        ("stdin", '[{"dst":"default"}]', "ip"),
        ("up.sh", "#!/bin/sh\nip route add 10.0.0.0/8 via 192.0.2.1\n", "ip"),
        ("notes", "hello world\n", ""),
    ],
)
def test_the_format_is_known_by_path_and_text(path: str, text: str, format_: str) -> None:
    assert guess(Text(path, text)) == format_


def test_a_file_of_no_known_format_is_named_and_one_that_is_told_is_read() -> None:
    (told,) = read_texts([Text("notes", "hello\n")]).leftovers
    assert str(told) == f"notes: its format is not known: say --format {' or '.join(FORMATS)}"
    findings = read_texts([Text("notes", "iface eth0 inet static\n address 192.0.2.1/24\n")], "ifupdown")
    assert [one.words["address"] for one in findings.statements] == ["192.0.2.1/24"]


# --- whatever stands there --------------------------------------------------------------------------------------------

SAMPLES = {"netplan": NETPLAN, "networkd": NETWORKD, "NetworkManager": KEYFILE, "ifupdown": INTERFACES,
           "keepalived": KEEPALIVED, "ip": JSON}  # fmt: skip


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_what_is_cut_and_stirred_is_read_or_named_and_what_is_written_is_taken(
    format_: str, data: st.DataObject
) -> None:
    text = SAMPLES[format_]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(len(text), at + 20)))
        text = (
            text[:at]
            + data.draw(st.text(max_size=5) | st.sampled_from(["{", "}", "\n", ": ", "[]", "0", '"']))
            + text[end:]
        )
    findings = read_texts([Text("any", text)], format_)
    load_sources((source(write(findings.statements).text),))


@pytest.mark.parametrize(
    "thing",
    [
        "7",
        "null",
        '{"dst": 7}',
        '{"dst":"default","metrics":7}',
        '{"addr_info":7}',
        '{"dst":"default","nexthops":[7]}',
        '{"priority":{},"src":[],"table":null}',
    ],
)
def test_json_of_another_shape_is_named(thing: str) -> None:
    tables, left_out = imported("ip", f"[{thing}]")
    assert tables == {}
    assert left_out


@pytest.mark.parametrize(
    ("word", "is_told"),
    [("proto 200", True), ("proto bird", True), ("proto static", False), ("proto 4", False), ("", False)],
)
def test_a_number_by_which_programs_know_a_route_is_told_to_whoever_reads_the_file(word: str, is_told: bool) -> None:
    lines = (f"route add 10.0.0.0/8 via 192.0.2.1 {word}", f"rule add from 10.0.0.0/8 priority 7 table 7 {word}")
    script = "iface eth0 inet static\n address 192.0.2.1/24\n" + "".join(f" up ip {line}\n" for line in lines)
    kept = f"virtual_routes {{\n 10.0.0.0/8 via 192.0.2.1 {word}\n}}\n"
    kept = f"vrrp_instance a {{\n interface eth0\n {kept}}}\n"
    for format_, text, count in (("ifupdown", script, 2), ("keepalived", kept, 1)):
        findings = read_texts([Text("x", text)], format_)
        notes = [note for one in findings.statements for note in one.notes if "is not taken over" in note]
        assert len(notes) == count * is_told, notes
        assert all("`[daemon] protocols`" in note for note in notes)
