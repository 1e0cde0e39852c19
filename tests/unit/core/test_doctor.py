"""Each examination of the doctor, by values: what it finds, and that it is silent where nothing concerns the files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.audit.sysctls import ROUTING_WHY, format_sysctl
from routed.core.doctor import EXAMINATIONS, examine
from routed.core.doctor.firewall import MOST
from routed.core.doctor.host import LEAST_FREE, find_capabilities
from routed.core.doctor.patient import Patient
from routed.core.doctor.sysctls import list_needs
from routed.core.filter_text import join_chains, read_iptables
from routed.core.routing_sysctls import ROUTING_ROWS
from routed.model.diagnosis import (
    Ailment,
    ClockState,
    Diagnosis,
    Hidden,
    JournalState,
    ManagerState,
    NetworkdState,
    Obstacle,
    Profile,
    Region,
    RivalProgram,
    Setting,
    Severity,
    StorageState,
    StrangeRoutes,
    UnitState,
)
from routed.model.entries import Source
from routed.model.net import IPV4, parse_address
from routed.model.objects import AddressMember, Key, Kind
from routed.model.reasons import Overruled
from tests.unit.core.patients import ETH0, ETH1, default, facts, found, patient, rule

ROUTE = '[[route]]\nname = "a"\nto = "10.9.0.0/16"\nvia = "10.0.0.2"\n'
BACKUP = '[[route]]\nname = "b"\nto = "10.9.0.0/16"\nvia = "10.1.0.2"\nmetric = 10\n'
TABLE = '[[route]]\nname = "t"\nto = "default"\nvia = "10.1.0.2"\ntable = 100\n'
REQUIRES = 'requires = "@w"\nwhen_all_down = "withdraw"\n'
SIX = '[[route]]\nname = "a"\nto = "fd09::/16"\nvia = "fd00::2"\nsrc = "fd00::1"\n'
FORWARDED = '[[rule]]\nname = "f"\npriority = 9\niif = "eth1"\nfamily = "ipv4"\ntable = 100\n'
MARKED = '[[rule]]\nname = "m"\npriority = 900\nfwmark = 7\nfamily = "ipv4"\ntable = 100\n'
ADDRESS = '[[address]]\nname = "own"\naddress = "10.0.0.5/24"\ndev = "eth0"\n'
OWN = AddressMember(ETH0, parse_address("10.0.0.5"), 24)
SERVICE = '[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = ["10.1.0.9:443"]\n'


def sysctls(text: str, where: Any = None, **more: Any) -> dict[str, int]:
    """Those that are lacking, where each one that is asked for is 0, but rp_filter, which is 1."""
    one = patient(text, where, **more)
    values = {name: int(name[-1] == "rp_filter") for need in list_needs(one) for name in need.names}
    lacks = [it.details["lack"] for it in found(patient(text, where, sysctls=values, **more), Ailment.SYSCTL)]
    return {format_sysctl(lack.name): lack.wanted for lack in lacks}


def test_a_host_without_files_has_nothing_to_complain_of() -> None:
    bare = Patient(
        networkd=NetworkdState(managed={"eth0": "/x.network"}),
        manager=ManagerState(managed={"eth1": "it says so"}),
        programs=[RivalProgram("kube-proxy", 7)],
    )
    assert examine(bare) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (ROUTE, {}),
        (ROUTE + BACKUP, {"net.ipv4.conf.eth0.ignore_routes_with_linkdown": 1}),
        (ROUTE + BACKUP.replace("10.9.0.0", "10.8.0.0"), {}),
        (ROUTE + BACKUP + "table = 7\n", {}),
        (ROUTE + BACKUP.replace("10.1.0.2", "10.0.0.2"), {}),
        (
            '[[route]]\nname = "a"\nto = "10.9.0.0/16"\nhops = [{ via = "10.0.0.2" }, { via = "10.1.0.2" }]\n',
            {f"net.ipv4.conf.{link}.ignore_routes_with_linkdown": 1 for link in ("eth0", "eth1")},
        ),
        (
            SIX.partition("src")[0]
            + SIX.partition("src")[0].replace("fd00", "fd01").replace('"a"', '"b"')
            + "metric = 2000\n",
            {"net.ipv6.conf.eth0.ignore_routes_with_linkdown": 1},
        ),
        (FORWARDED, {"net.ipv4.conf.eth1.forwarding": 1}),
        (FORWARDED.replace("ipv4", "ipv6"), {"net.ipv6.conf.all.forwarding": 1}),
        ('[[rule]]\nname = "f"\npriority = 9\niif = "lo"\nfamily = "ipv4"\ntable = 100\n', {}),
        ('[[rule]]\nname = "f"\npriority = 9\niif = "eth1"\nfamily = "ipv4"\ntype = "blackhole"\n', {}),
        (SIX, {"net.ipv6.conf.eth0.keep_addr_on_down": 1}),
        (
            SIX + '[[address]]\nname = "own"\naddress = "fd00::1/64"\ndev = "eth0"\n',
            {},
        ),
        (
            '[[vip]]\nname = "v"\naddress = "fd00::80"\nnode = "fd00::1"\nlocal = true\n',
            {
                "net.ipv6.conf.eth0.keep_addr_on_down": 1,
                "net.ipv6.conf.eth0.proxy_ndp": 1,
                "net.ipv6.conf.eth0.forwarding": 1,
            },
        ),
    ],
)
def test_routes_rules_and_vips_take_what_they_cannot_do_without_and_nothing_else(
    text: str, wanted: dict[str, int]
) -> None:
    assert sysctls(text) == wanted


def test_a_long_list_of_prefixes_is_compared_with_others_in_either_direction() -> None:
    many = ", ".join(f'"10.9.{number}.0/24"' for number in range(200))
    listed = f'[[route]]\nname = "l"\nprefixes = [{many}]\nvia = "10.0.0.2"\n'
    one = '[[route]]\nname = "o"\nto = "10.9.7.0/24"\nvia = "10.1.0.2"\nmetric = 10\n'
    wanted = {"net.ipv4.conf.eth0.ignore_routes_with_linkdown": 1}
    assert sysctls(listed + one) == wanted
    assert sysctls(listed + one.replace("10.9.7", "10.8.7")) == {}
    assert (
        sysctls(listed.replace("10.0.0.2", "10.1.0.2") + "metric = 20\n" + one.replace("10.1.0.2", "10.0.0.2"))
        == wanted
    )
    also = listed.replace('"l"', '"k"').replace("10.0.0.2", "10.1.0.2") + "metric = 20\n"
    assert sysctls(listed + also) == wanted


def test_answers_to_marked_packets_pass_only_a_loose_filter_of_sources() -> None:
    assert sysctls(TABLE + MARKED, defaults=[default(ETH0)]) == {"net.ipv4.conf.eth1.rp_filter": 2}
    assert sysctls(TABLE + MARKED, defaults=[default(ETH1)]) == {}  # that is the way back anyway
    by_source = '[[rule]]\nname = "s"\npriority = 901\nfrom = "10.1.0.1"\ntable = 100\n'
    assert sysctls(TABLE + by_source, defaults=[default(ETH0)]) == {}  # the kernel knows it of an answer too
    assert sysctls(TABLE + MARKED + by_source, defaults=[default(ETH0)]) == {}


def test_answers_to_a_check_with_a_way_of_its_own_pass_only_a_loose_filter_of_sources() -> None:
    check = '[[check]]\nname = "w"\ntype = "tcp"\ntargets = ["192.0.2.9:80"]\nvia = "10.1.0.2"\n'
    asked = ROUTE + REQUIRES
    assert sysctls(check + asked, defaults=[default(ETH0)]) == {"net.ipv4.conf.eth1.rp_filter": 2}
    assert sysctls(check + asked, defaults=[default(ETH1)]) == {}
    assert sysctls(check + ROUTE, defaults=[default(ETH0)]) == {}  # nobody asks it


def test_a_check_that_takes_the_route_away_needs_no_sysctl_for_it() -> None:
    check = '[[check]]\nname = "w"\ntype = "icmp"\ntargets = ["192.0.2.9"]\ndev = "eth0"\n'
    assert "net.ipv4.conf.eth0.ignore_routes_with_linkdown" not in sysctls(check + ROUTE + 'requires = "@w"\n' + BACKUP)


def test_two_links_of_one_network_answer_each_for_itself_where_a_rule_chooses_by_the_address() -> None:
    where = facts(("10.0.0.77", 24, ETH1))
    text = '[[rule]]\nname = "s"\npriority = 900\nfrom = "10.0.0.77"\ntable = 100\n'
    wanted = {
        f"net.ipv4.conf.{link}.{word}": value
        for link in ("eth0", "eth1")
        for word, value in (("arp_ignore", 1), ("arp_announce", 2))
    }
    assert sysctls(text, where) == wanted
    assert sysctls(text.replace("10.0.0.77", "10.1.0.1"), where) == {}
    assert sysctls(text) == {}


def test_services_take_what_status_says_that_they_take() -> None:
    assert sysctls(SERVICE) == {"net.ipv4.ip_forward": 1}


def test_what_keeps_addresses_itself_needs_no_sysctl_for_it() -> None:
    assert sysctls(SIX, networkd=NetworkdState()) == {}


def test_each_row_of_routing_says_what_is_lost() -> None:
    assert ROUTING_ROWS.keys() == ROUTING_WHY.keys()


# --- network managers -------------------------------------------------------------------------------------------------


def setting(key: str, value: str, section: str = "Network") -> Setting:
    return Setting("/etc/systemd/networkd.conf", 3, section, key, value)


ROUTES, RULES = "ManageForeignRoutes", "ManageForeignRoutingPolicyRules"


@pytest.mark.parametrize(
    ("settings", "managed", "expected"),
    [
        ((), {"eth0": "/a.network"}, [Ailment.NETWORKD_ROUTES, Ailment.NETWORKD_RULES]),
        ((), {"eth1": "/a.network"}, [Ailment.NETWORKD_RULES]),
        ((), {}, [Ailment.NETWORKD_RULES]),
        ((setting(ROUTES, "no"), setting(RULES, "false")), {"eth0": "/a.network"}, []),
        (
            (setting(ROUTES, "no"), setting(ROUTES, "yes"), setting(RULES, "no")),
            {"eth0": "/a.network"},
            [Ailment.NETWORKD_ROUTES],
        ),
        ((setting(ROUTES, "no", "DHCP"), setting(RULES, "no")), {"eth0": "/a.network"}, [Ailment.NETWORKD_ROUTES]),
    ],
)
def test_networkd_is_told_of_where_it_removes_what_the_files_have(
    settings: tuple[Setting, ...], managed: dict[str, str], expected: list[Ailment]
) -> None:
    one = patient(ROUTE + MARKED, networkd=NetworkdState(settings, managed))
    assert [
        it.ailment for it in examine(one) if it.ailment in {Ailment.NETWORKD_ROUTES, Ailment.NETWORKD_RULES}
    ] == expected


def test_routes_of_no_link_are_those_of_any_link_to_networkd() -> None:
    hole = '[[route]]\nname = "h"\nto = "10.9.0.0/16"\ntype = "blackhole"\n'
    assert found(patient(hole, networkd=NetworkdState(managed={"eth1": "/a"})), Ailment.NETWORKD_ROUTES)
    assert not found(patient(hole, networkd=NetworkdState()), Ailment.NETWORKD_ROUTES)


@pytest.mark.parametrize(
    ("value", "is_kept"), [("static", True), ("yes", True), ("dhcp", False), ("no", False), ("", False)]
)
def test_addresses_on_a_link_of_networkd_stay_where_its_file_says_so(value: str, is_kept: bool) -> None:
    settings = (setting("KeepConfiguration", value),) if value else ()
    state = NetworkdState(managed={"eth0": "/a.network"}, links={"eth0": settings})
    assert bool(found(patient(ADDRESS, networkd=state), Ailment.NETWORKD_ADDRESSES)) is not is_kept
    assert not found(patient(ROUTE, networkd=state), Ailment.NETWORKD_ADDRESSES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROUTE, [Ailment.MANAGER_ROUTES]),
        (ROUTE.replace("10.0.0.2", "10.1.0.2"), []),
        (ROUTE + "table = 100\n", [Ailment.MANAGER_TABLES]),
        (ADDRESS, [Ailment.MANAGER_ROUTES]),
        (MARKED, []),
    ],
)
def test_networkmanager_is_told_of_where_it_removes_what_the_files_have(text: str, expected: list[Ailment]) -> None:
    profile = Profile("wired", Setting("/etc/NetworkManager/system-connections/w", 9, "ipv4", "route-table", "254"))
    state = ManagerState({"eth0": "it says so"}, (profile,))
    told = [it.ailment for it in examine(patient(text, manager=state))]
    assert [one for one in told if one in {Ailment.MANAGER_ROUTES, Ailment.MANAGER_TABLES}] == expected


# --- others -----------------------------------------------------------------------------------------------------------


def test_a_program_that_keeps_services_is_told_of_where_the_files_have_some() -> None:
    programs = [RivalProgram("kube-proxy", 7, "kubelet.service"), RivalProgram("systemd-network", 8)]
    assert [it.details["pid"] for it in found(patient(SERVICE, programs=programs), Ailment.IPVS_RIVAL)] == [7]
    assert not found(patient(ROUTE, programs=programs), Ailment.IPVS_RIVAL)


@pytest.mark.parametrize(("number", "name"), [(114, ""), (12, "bird"), (196, "frr"), (200, ""), (4, "")])
def test_a_protocol_number_that_another_daemon_uses_is_told_of(number: int, name: str) -> None:
    told = found(patient(f"[daemon]\nprotocol = {number}\n" + ROUTE), Ailment.TAKEN_PROTOCOL)
    assert [it.details["name"] for it in told] == ([name] if name else [])


def test_routes_of_others_are_told_of_with_the_entry_whose_table_it_is() -> None:
    strange = StrangeRoutes(IPV4, 100, 12, 3, "10.7.0.0/16 via 10.1.0.9 dev eth1 proto bird")
    (one,) = found(patient(TABLE + MARKED, strangers=[strange]), Ailment.FOREIGN_ROUTES)
    assert (one.entry, one.details["protocol"]) == ("route/t", "bird")


def test_a_rule_of_others_at_a_priority_of_ours_is_told_of() -> None:
    assert found(patient(TABLE + MARKED, rules=[rule(900, 7, fwmark=9, fwmask=9)]), Ailment.FOREIGN_RULE)
    assert not found(patient(TABLE + MARKED, rules=[rule(901, 7, fwmark=9, fwmask=9)]), Ailment.FOREIGN_RULE)


# --- routing ----------------------------------------------------------------------------------------------------------


def test_a_table_that_nobody_looks_up_is_told_of_with_the_address_that_it_is_for() -> None:
    (one,) = found(patient(TABLE), Ailment.UNUSED_TABLE)
    assert (one.entry, one.details["source"]) == ("route/t", "10.1.0.1")
    (many,) = found(patient(TABLE, facts(("10.1.0.7", 24, ETH1))), Ailment.UNUSED_TABLE)
    assert many.details["source"] == ""
    assert (one.details["is_main_full"], one.details["priority"], many.details["priority"]) == (False, 1000, 32800)
    (behind,) = found(patient(TABLE, defaults=[default(ETH0, "10.0.0.2")]), Ailment.UNUSED_TABLE)
    assert behind.details["is_main_full"]


def test_rules_for_tables_that_nobody_looks_up_get_a_priority_each_that_nobody_has() -> None:
    two = TABLE + TABLE.replace('"t"', '"u"').replace("100", "101")
    there = [rule(1000, 7, fwmark=1, fwmask=1), rule(1001, 7, fwmark=2, fwmask=2)]
    unused = found(patient(two, rules=there), Ailment.UNUSED_TABLE)
    assert [one.details["priority"] for one in unused] == [1002, 1003]


@pytest.mark.parametrize(
    "one",
    [
        patient(TABLE + MARKED),
        patient(TABLE, rules=[rule(5, 100)]),
        patient(TABLE, rules=[rule(1000, 0, l3mdev=True)]),
        patient(TABLE + MARKED.replace("fwmark", 'iif = "eth9"\nfwmark')),
        patient(ROUTE),
    ],
    ids=["a rule of ours", "a rule of others", "a rule of VRFs", "a rule that waits", "table main"],
)
def test_a_table_that_a_rule_looks_up_is_nothing_to_tell(one: Patient) -> None:
    assert not found(one, Ailment.UNUSED_TABLE)


def test_a_rule_of_a_table_without_a_route_is_worth_a_note() -> None:
    (one,) = found(patient(MARKED), Ailment.EMPTY_TABLE)
    assert (one.entry, one.severity) == ("rule/m", Severity.NOTE)
    assert not found(patient(MARKED, filled=frozenset({(IPV4, 100)})), Ailment.EMPTY_TABLE)
    assert not found(patient(MARKED + TABLE), Ailment.EMPTY_TABLE)
    assert not found(patient(MARKED + TABLE.replace("10.1.0.2", "10.99.0.2")), Ailment.EMPTY_TABLE)  # it waits


LATER = MARKED.replace('"m"', '"l"').replace("900", "950") + 'to = "10.0.0.0/8"\n'


@pytest.mark.parametrize(
    ("text", "is_dead"),
    [
        (TABLE + MARKED + LATER, True),
        (TABLE + MARKED.replace("fwmark = 7", "fwmark = 8") + LATER, False),
        (TABLE.replace("default", "10.0.0.0/8") + MARKED + LATER, False),  # it may have no answer
        (TABLE.replace('via = "10.1.0.2"', 'type = "throw"\nfamily = "ipv4"') + MARKED + LATER, False),
        (MARKED.replace("table = 100", 'type = "prohibit"') + LATER + TABLE, True),
        (TABLE + MARKED.replace("table", "suppress_prefixlength = 0\ntable") + LATER, False),
        (TABLE + MARKED.replace("fwmark = 7", 'fwmark = "7/0x7"') + LATER, True),
        (TABLE + MARKED.replace("fwmark = 7", 'from = "10.0.0.0/8"') + LATER + 'from = "10.7.0.0/16"\n', True),
        (TABLE + MARKED.replace("fwmark = 7", 'from = "10.7.0.0/16"') + LATER + 'from = "10.0.0.0/8"\n', False),
        (TABLE + MARKED.replace("fwmark", "not = true\nfwmark").replace("7", "9") + LATER, True),
    ],
)
def test_a_rule_behind_one_that_answers_all_of_its_packets_can_never_match(text: str, is_dead: bool) -> None:
    told = [it.entry for it in found(patient(text), Ailment.DEAD_RULE)]
    assert told == (["rule/l"] if is_dead else [])


def test_what_is_shadowed_and_what_of_the_kernel_is_missing_are_errors() -> None:
    one = patient(ROUTE)
    (key,) = one.desired.keys_of("route/a")
    assert isinstance(key, Key)
    reason = Overruled("10.9.0.0/16 via 10.0.0.9 dev eth0 proto static metric 5", "")
    absent = {"family": "IPv4", "missing": "0: from all lookup local", "command": "ip rule add"}
    told = examine(patient(ROUTE, shadowed=[(key, "route/a", reason)], absent=[absent]))
    assert [(it.ailment, it.severity) for it in told] == [
        (Ailment.SHADOWED, Severity.ERROR),
        (Ailment.KERNEL_RULES, Severity.ERROR),
    ]
    assert key.kind == Kind.ROUTE


def test_what_one_rival_shadows_is_one_finding_however_much_it_is() -> None:
    one = patient(ROUTE + BACKUP)
    keys = [(key, name) for name in ("route/a", "route/b") for key in one.desired.keys_of(name)]
    reason, other = Overruled("x", ""), Overruled("y", "")
    told = found(patient(ROUTE, shadowed=[(*it, reason) for it in keys]), Ailment.SHADOWED)
    assert [(it.entry, it.details["others"]) for it in told] == [("route/a", 1)]
    two = [(*keys[0], reason), (*keys[1], other)]
    assert len(found(patient(ROUTE, shadowed=two), Ailment.SHADOWED)) == 2


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_that_somebody_else_has_is_told_of_with_who_it_is() -> None:
    (twice,) = found(patient(ADDRESS, facts(("10.0.0.5", 32, ETH1))), Ailment.TWICE_HERE)
    assert (twice.details["other"], twice.details["other_length"]) == ("eth1", 32)
    (elsewhere,) = found(patient(ADDRESS, neighbours={OWN: "02:00:00:00:00:99"}), Ailment.ELSEWHERE)
    assert elsewhere.details["mac"] == "02:00:00:00:00:99"
    six = ADDRESS.replace("10.0.0.5/24", "fd00::5/64")
    assert found(patient(six, facts(("fd00::5", 64, ETH0), failed="fd00::5")), Ailment.FAILED_DAD)
    assert examine(patient(ADDRESS, facts(("10.0.0.5", 24, ETH0)))) == []


@pytest.mark.parametrize(
    ("vip", "proxies", "is_told"),
    [
        ("fd00::80", set(), True),
        ("fd00::80", {("eth0", "fd00::80")}, False),
        ("fd00::80", {("eth1", "fd00::80")}, True),
        ("fd00::80", None, False),
        ("fd99::80", set(), False),
    ],
)
def test_a_vip_that_no_neighbour_hears_of_is_told_of(vip: str, proxies: set[Any] | None, is_told: bool) -> None:
    text = f'[[vip]]\nname = "v"\naddress = "{vip}"\nnode = "fd00::1"\nlocal = true\n'
    one = patient(text, proxies=None if proxies is None else frozenset(proxies))
    assert bool(found(one, Ailment.NO_PROXY)) is is_told


# --- packet filters ---------------------------------------------------------------------------------------------------


def filters(text: str) -> Any:
    return join_chains(read_iptables(text, "ip"))


CLOSED = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
OPEN = CLOSED.replace("COMMIT", "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n-A FORWARD -j ACCEPT\nCOMMIT")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVICE, [("service/api", "service"), ("service/api", "answer")]),
        (SERVICE.replace("10.0.0.1:443", "192.0.2.80:443"), [("service/api", "answer")]),  # it serves this host alone
        (SERVICE.replace("10.1.0.9", "10.1.0.1"), [("service/api", "service")]),  # a server on this host
        (SERVICE + 'forward = "direct"\n', [("service/api", "service")]),
        ('[[tunnel]]\nname = "t"\ndev = "t0"\nmode = "ipip"\nlocal = "10.0.0.1"\n', [("tunnel/t", "tunnel")]),
        (FORWARDED, [("rule/f", "forwarding")]),
        (ROUTE, []),
    ],
)
def test_a_filter_that_drops_all_that_an_entry_is_for_is_an_error(text: str, told: list[tuple[str, str]]) -> None:
    one = patient(text, ruleset=filters(CLOSED))
    assert [(it.entry, it.details["role"]) for it in found(one, Ailment.FIREWALL)] == told
    assert found(patient(SERVICE, ruleset=filters(OPEN)), Ailment.FIREWALL) == []


@pytest.mark.parametrize(
    ("passes", "more", "is_told"),
    [
        ("-p icmp", "", True),  # as ufw lets pings through
        ("-p udp", "", False),
        ("-p udp", 'ipproto = "tcp"\n', True),
        ("-p tcp", 'ipproto = "tcp"\n', False),
    ],
)
def test_what_is_forwarded_is_dropped_where_tcp_and_udp_are_or_what_the_rule_is_for(
    passes: str, more: str, *, is_told: bool
) -> None:
    text = CLOSED.replace("COMMIT", f"-A FORWARD {passes} -j ACCEPT\nCOMMIT")
    assert bool(found(patient(FORWARDED + more, ruleset=filters(text)), Ailment.FIREWALL)) is is_told


def test_more_kinds_of_packets_than_can_be_followed_are_not_fine() -> None:
    servers = ", ".join(f'"10.1.{number // 250}.{number % 250 + 2}:80"' for number in range(MOST))
    text = f'[[service]]\nname = "api"\nlisten = "192.0.2.80:443"\nservers = [{servers}]\n'
    (one,) = found(patient(text, ruleset=filters(OPEN)), Ailment.NOT_SEEN)
    assert one.details["obstacle"] is Obstacle.MANY


def test_a_check_whose_question_is_never_sent_is_told_of() -> None:
    check = '[[check]]\nname = "w"\ntype = "tcp"\ntargets = ["192.0.2.9:80"]\n'
    closed = filters(CLOSED.replace("OUTPUT ACCEPT", "OUTPUT DROP"))
    (one,) = found(patient(check + ROUTE + REQUIRES, ruleset=closed), Ailment.FIREWALL)
    assert (one.entry, one.details["role"]) == ("check/w", "check")
    assert not found(patient(check + ROUTE, ruleset=closed), Ailment.FIREWALL)


# --- the host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (StorageState("/var/lib/routed", "/", is_read_only=False, free=1 << 30, size=1 << 40), []),
        (
            StorageState("/var/lib/routed", "/", is_read_only=True, free=1 << 30, size=1 << 40),
            [Ailment.STATE_READ_ONLY],
        ),
        (
            StorageState("/var/lib/routed", "/", is_read_only=False, free=LEAST_FREE - 1, size=1 << 40),
            [Ailment.STATE_FULL],
        ),
        (StorageState("/", "/", is_read_only=False, free=1 << 30, size=1 << 40, free_files=3), [Ailment.STATE_FULL]),
    ],
)
def test_state_that_cannot_be_kept_is_told_of(state: StorageState, told: list[Ailment]) -> None:
    assert [it.ailment for it in examine(patient(ROUTE, storage=state))] == told


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (ClockState(now=200.0, built=100.0), []),
        (ClockState(now=200.0, built=100.0, is_synchronised=False), [Ailment.CLOCK_FREE]),
        (ClockState(now=50.0, built=100.0), [Ailment.CLOCK_BEHIND]),
        (ClockState(now=200.0, built=100.0, newest=300.0, newest_number=7), [Ailment.CLOCK_BEHIND]),
        (ClockState(now=200.0, built=100.0, newest=200.5, newest_number=7), []),
    ],
)
def test_a_clock_that_stands_wrong_is_told_of(state: ClockState, told: list[Ailment]) -> None:
    assert [it.ailment for it in examine(patient(ROUTE, clock=state))] == told


@pytest.mark.parametrize(
    ("state", "is_lost"),
    [
        (JournalState(has_folder=True), False),
        (JournalState(has_folder=False), True),
        (JournalState("persistent", has_folder=False), False),
        (JournalState("volatile", has_folder=True), True),
        (JournalState("none", has_folder=True), True),
    ],
)
def test_a_journal_that_forgets_at_the_next_boot_is_told_of(state: JournalState, is_lost: bool) -> None:
    assert bool(found(patient(ROUTE, journal=state), Ailment.JOURNAL_VOLATILE)) is is_lost


HOLDS = '[[vip]]\nname = "v"\naddress = "10.0.0.80"\ndev = "eth0"\n'
BOTH = "cap_net_admin cap_net_raw"


@pytest.mark.parametrize(
    ("text", "properties", "told"),
    [
        (HOLDS, {}, []),
        (HOLDS, {"CapabilityBoundingSet": BOTH, "RestrictAddressFamilies": "AF_UNIX AF_NETLINK AF_PACKET"}, []),
        (HOLDS, {"CapabilityBoundingSet": "cap_net_admin"}, [("vip/v", "CAP_NET_RAW")]),
        (ROUTE, {"CapabilityBoundingSet": "cap_net_admin"}, []),
        (ROUTE, {"CapabilityBoundingSet": ""}, [("", "CAP_NET_ADMIN")]),
        (HOLDS, {"RestrictAddressFamilies": "AF_UNIX AF_NETLINK"}, [("vip/v", "AF_PACKET")]),
        (ROUTE, {"RestrictAddressFamilies": "AF_UNIX AF_NETLINK"}, []),
        (ROUTE, {"RestrictAddressFamilies": "~AF_NETLINK"}, [("", "AF_NETLINK")]),
        (ROUTE, {"RestrictAddressFamilies": "~"}, []),
        (ROUTE, {"PrivateNetwork": "yes"}, [("", "no")]),
    ],
)
def test_a_unit_that_forbids_what_the_files_need_is_told_of(
    text: str, properties: dict[str, str], told: list[tuple[str, str]]
) -> None:
    one = patient(text, unit=UnitState(properties))
    assert [(it.entry, it.details["value"]) for it in found(one, Ailment.UNIT)] == told


@pytest.mark.parametrize(
    ("path", "properties", "told"),
    [
        ("/home/op/routed.toml", {"ProtectHome": "yes"}, ["read-only"]),
        ("/home/op/routed.toml", {"ProtectHome": "read-only"}, []),
        ("/etc/routed.toml", {"ProtectHome": "yes", "PrivateTmp": "yes"}, []),
        ("/tmp/routed.toml", {"ProtectHome": "yes", "PrivateTmp": "yes"}, ["no"]),  # noqa: S108  it is hidden
    ],
)
def test_a_unit_that_hides_the_files_is_told_of(path: str, properties: dict[str, str], told: list[str]) -> None:
    one = patient(ROUTE, unit=UnitState(properties))
    one = replace(one, intent=replace(one.intent, sources=(Source(path, b"", "main"),)))
    assert [it.details["value"] for it in found(one, Ailment.UNIT)] == told


def test_what_the_daemon_could_not_keep_is_an_error() -> None:
    (one,) = examine(patient(ROUTE, unsaved="the disk is full"))
    assert (one.ailment, one.severity) == (Ailment.STATE_UNSAVED, Severity.ERROR)


def test_a_daemon_that_lacks_a_capability_is_told_of() -> None:
    assert found(patient(HOLDS, unit=UnitState(pid=7, capabilities=1 << 12)), Ailment.CAPABILITY)
    assert not found(patient(ROUTE, unit=UnitState(pid=7, capabilities=1 << 12)), Ailment.CAPABILITY)
    assert not found(patient(HOLDS, unit=UnitState(pid=7)), Ailment.CAPABILITY)  # nobody knows
    assert find_capabilities(patient(ROUTE)).keys() == {12}


def test_what_could_not_be_looked_at_is_found_and_is_never_fine() -> None:
    hidden = Hidden(Region.FIREWALL, Obstacle.TOOL, "nft")
    told = examine(patient(ROUTE, hidden=[hidden], is_daemon_running=False))
    assert told == [Diagnosis(Ailment.NO_DAEMON), Diagnosis(Ailment.NOT_SEEN, "", hidden._asdict())]
    assert {it.severity for it in told} == {Severity.UNSEEN}


def test_the_worst_comes_first_and_each_examination_is_a_row_once() -> None:
    told = examine(patient(MARKED, storage=StorageState("/x", "/", is_read_only=True, free=1 << 40, size=1 << 40)))
    assert [it.severity for it in told] == [Severity.ERROR, Severity.NOTE]
    assert len(set(EXAMINATIONS)) == len(EXAMINATIONS)
