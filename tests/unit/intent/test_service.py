"""``[[service]]``: what it may say, and what the kernel would take without meaning it."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.daemon.files import find_changed_files
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.model import ipvs
from routed.model.checks import Target
from routed.model.entries import IpvsSettings, Listen, Requirement, ServiceEntry, Source, TimeoutsEntry
from routed.model.ipvs import ServerValue
from routed.model.net import IPV4, IPV6, parse_address
from tests.unit.intent.intent_help import HEAD, complaint, drop_in, entry, problems, read, source

ROUTE = '[[route]]\nto = "10.30.0.0/16"\ntype = "blackhole"\nrequires = "@service/api"\nwhen_all_down = "withdraw"\n'
SERVERS = 'servers = ["10.0.0.11:443"]'
SIX = 'servers = ["2001:db8::11"]'


def service(text: str) -> ServiceEntry:
    found = entry(f"[[service]]\n{text}")
    assert isinstance(found, ServiceEntry)
    return found


def test_a_service_says_all_that_ipvsadm_says() -> None:
    found = service("""
        listen = ["10.0.0.1:443", "10.0.0.2:5060/udp", "10.0.0.3:9/sctp"]
        scheduler = "sh"
        flags = ["fallback", "port"]
        persistence = "3h"
        persistence_prefix = 24
        servers = [
            "10.0.0.11:443",
            { address = "10.0.0.12", weight = 0, max_connections = 100, min_connections = 50 },
            { address = "10.0.0.13", disabled = true },
        ]
    """)
    assert found.listens == (
        Listen(ipvs.TCP, parse_address("10.0.0.1"), 443),
        Listen(ipvs.UDP, parse_address("10.0.0.2"), 5060),
        Listen(ipvs.SCTP, parse_address("10.0.0.3"), 9),
    )
    assert (found.scheduler, found.timeout, found.prefixlen) == ("sh", 10800, 24)
    assert found.flags == ipvs.PERSISTENT | ipvs.SCHEDULER_1 | ipvs.SCHEDULER_2
    first, second = found.servers
    assert (first.address, first.port, first.value) == (parse_address("10.0.0.11"), 443, ServerValue(0))
    assert (second.port, second.value) == (0, ServerValue(0, weight=0, upper=100, lower=50))


def test_a_service_is_called_after_what_it_listens_to() -> None:
    assert service(f'listen = "10.0.0.1:443"\n{SERVERS}').name == "service/10.0.0.1-443"
    assert service(f'listen = "[2001:db8::1]:53/udp"\n{SIX}').name == "service/2001:db8::1-53-udp"
    assert service(f'listen = "@local:80"\n{SERVERS}').name == "service/local-80"
    assert service(f"fwmark = 7\n{SERVERS}").name == "service/fwmark-7"


def test_a_mark_may_stand_for_packets_of_both_families() -> None:
    marks = service('fwmark = 7\nfamily = "both"\nforward = "tunnel"\nservers = ["10.0.0.11"]').listens
    assert marks == (Listen(fwmark=7, family=IPV4), Listen(fwmark=7, family=IPV6))


def test_a_tunnel_has_a_form() -> None:
    text = 'listen = "10.0.0.1:443"\nforward = "tunnel"\nservers = ["10.0.0.11"]\n'
    gue = service(text + 'tunnel = { type = "gue", port = 6080, checksum = true }').servers[0].value
    assert gue == ServerValue(0, ipvs.TUNNEL, tunnel=ipvs.GUE, tunnel_port=6080, tunnel_flags=ipvs.CHECKSUM)


def test_a_server_may_require_checks() -> None:
    check = '[[check]]\nname = "a"\ntype = "tcp"\ntarget = "10.0.0.11:443"\n'
    text = '[[service]]\nlisten = "10.0.0.1:443"\nservers = [{ address = "10.0.0.11", requires = "@a" }]\n'
    (found,) = read(check + text).entries
    assert isinstance(found, ServiceEntry)
    assert found.servers[0].requires == found.conditions == (Requirement("a"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVERS, "`listen` or `fwmark`"),
        (f'listen = "10.0.0.1:443"\nfwmark = 7\n{SERVERS}', "one of them only"),
        (f"listen = []\n{SERVERS}", "`listen` is empty"),
        (f'listen = "10.0.0.1"\n{SERVERS}', "no port"),
        (f'listen = "10.0.0.1:443/icmp"\n{SERVERS}', "no protocol of IPVS"),
        (f'listen = "10.0.0.1:70000"\n{SERVERS}', "from 1 to 65535"),
        (f'listen = "@:80"\n{SERVERS}', "names no interface"),
        (f'listen = "@lan:80"\n{SERVERS}', "no [[interface]] named lan"),
        (f'listen = ["10.0.0.1:1", "10.0.0.1:1"]\n{SERVERS}', "names one twice"),
        (f"fwmark = 0\n{SERVERS}", "must be 1 or more"),
        ('listen = "10.0.0.1:443"', "`servers` is missing"),
        ('listen = "10.0.0.1:443"\nservers = [{ weight = 1 }]', "a server needs `address`"),
        ('listen = "10.0.0.1:443"\nservers = ["10.0.0.11", "10.0.0.11"]', "names one twice"),
        (f'listen = "10.0.0.1:443"\nfamily = "ipv4"\n{SERVERS}', "goes with `fwmark`"),
        (f'listen = "10.0.0.1:443"\nscheduler = "best"\n{SERVERS}', "must be"),
        (f'listen = "10.0.0.1:443"\nflags = ["fallback"]\n{SERVERS}', "they go with"),
        (f'listen = "10.0.0.1:443"\nflags = ["one-packet"]\nforward = "direct"\n{SERVERS}', "one-packet"),
        (f'listen = "10.0.0.1:443/udp"\nflags = ["one-packet"]\n{SERVERS}', "one-packet"),
        (f'listen = "10.0.0.1:443"\npersistence = "32d"\n{SERVERS}', "1s to 31d"),
        (f'listen = "10.0.0.1:443"\npersistence = "500ms"\n{SERVERS}', "1s to 31d"),
        (f'listen = "10.0.0.1:443"\npersistence_prefix = 24\n{SERVERS}', "goes with `persistence`"),
        (f'listen = "10.0.0.1:443"\npersistence = "1h"\npersistence_prefix = 33\n{SERVERS}', "32 or less"),
        (f'listen = "10.0.0.1:443"\npersistence = "1h"\npersistence_engine = "sip"\n{SERVERS}', "of UDP"),
        (f'listen = "10.0.0.1:443"\nforward = "tunnel"\ntunnel = {{ type = "gue" }}\n{SERVERS}', "gue needs `port`"),
        (
            f'listen = "10.0.0.1:443"\nforward = "tunnel"\ntunnel = {{ type = "gre", port = 6080 }}\n{SERVERS}',
            "has neither",
        ),
        (f'listen = "10.0.0.1:443"\ntunnel = {{ type = "gre" }}\n{SERVERS}', "no packet goes through one"),
        (f'listen = "@local"\npersistence = "1h"\n{SERVERS}', 'write "@local:443"'),
        (f'listen = "0.0.0.0:443"\n{SERVERS}', 'write "@local:443" for all'),
        (f'listen = "224.0.0.1:443"\n{SERVERS}', "224.0.0.1 is not the address of a host"),
        ('listen = "10.0.0.1:443"\nservers = ["255.255.255.255"]', "255.255.255.255 is not the address of a host"),
        ('listen = "10.0.0.1:443"\nservers = ["10.0.0.11", "10.0.0.11:443"]', "that of the service"),
        (f'listen = "10.0.0.1:443"\nsorry = "10.0.0.11"\n{SERVERS}', "one of the servers"),
        (f'listen = "10.0.0.1:443"\nsorry = "224.0.0.1"\n{SERVERS}', "not the address of a host"),
        (f'listen = "10.0.0.1:443"\nforward = "direct"\nsorry = "10.0.0.99:80"\n{SERVERS}', "leave its port out"),
        (f'listen = "10.0.0.1:443"\nsorry = "2001:db8::99"\n{SERVERS}', "this server is ipv6"),
        (f'listen = "10.0.0.1:443"\npersistence = "1500ms"\n{SERVERS}', "whole seconds"),
        (f'listen = "@local:443"\npersistence = "1h"\npersistence_prefix = 64\n{SERVERS}', "32 or less"),
        (
            'listen = "10.0.0.1:443/udp"\nflags = ["one-packet"]\nforward = "direct"\nsorry = "10.0.0.99"\n\
servers = [{ address = "10.0.0.11", forward = "masq" }]',
            "one-packet",
        ),
        (f'listen = "10.0.0.1:443"\n{SIX}', "this server is ipv6"),
        ('listen = "10.0.0.1:443"\nforward = "direct"\nservers = ["10.0.0.11:8443"]', "leave its port out"),
        (
            'listen = "10.0.0.1:443"\nservers = [{ address = "10.0.0.11", min_connections = 5 }]',
            "must not be more",
        ),
        (
            'listen = "10.0.0.1:443"\nservers = [{ address = "10.0.0.11", weight = 2147483648 }]',
            "2147483647 or less",
        ),
        ('listen = "10.0.0.1:443"\nservers = [{ address = "10.0.0.11", wait = 1 }]', "did you mean `weight`"),
        ('listen = "10.0.0.1:443"\nservers = [{ address = "10.0.0.11", requires = "@a" }]', "no [[check]]"),
        ('listen = "10.0.0.1:443"\nservers = [7]', "must be a table"),
    ],
)
def test_what_would_do_nothing_or_something_else_is_refused(text: str, message: str) -> None:
    assert message in complaint(f"[[service]]\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        'fwmark = 7\nforward = "direct"\nflags = ["one-packet"]',
        'listen = "10.0.0.1:5060/udp"\nflags = ["one-packet"]\npersistence = "1h"\npersistence_engine = "sip"',
        'fwmark = 7\npersistence = "1h"\npersistence_engine = "sip"',
        'listen = ["10.0.0.1:443", "10.0.0.2:80"]\nsorry = "10.0.0.11:8080"',
    ],
)
def test_what_the_kernel_means_is_not_refused(text: str) -> None:
    assert service(f'{text}\nservers = ["10.0.0.11"]').servers


def test_two_services_with_one_key_are_a_contradiction() -> None:
    text = f'[[service]]\nname = "a"\nlisten = "10.0.0.1:443"\n{SERVERS}\n'
    assert "also in service/a" in complaint(text + text.replace('"a"', '"b"'))


TEMPLATE = '[[check]]\nname = "ready"\ntype = "http"\npath = "/ready"\n'


def test_each_server_has_a_check_of_its_own_by_the_template_and_one_for_all_services_that_share_it() -> None:
    text = """
        [[service]]
        listen = ["10.0.0.1:443", "10.0.0.2:443"]
        servers = ["10.0.0.11:8080", "10.0.0.12"]
        check = "@ready"
        [[service]]
        listen = "10.0.0.3:443"
        servers = ["10.0.0.11:8080"]
        check = "@ready"
    """
    intent = read(TEMPLATE + text)
    checks = {check.name: check.targets for check in intent.checks}
    assert checks == {
        "ready": (),
        "ready[10.0.0.11:8080]": (Target(parse_address("10.0.0.11"), 8080),),
        "ready[10.0.0.12:443]": (Target(parse_address("10.0.0.12"), 443),),
    }
    assert {check.path for check in intent.checks} == {"/ready"}
    names = [requirement.check for one in intent.entries for requirement in one.conditions]
    assert names == ["ready[10.0.0.11:8080]", "ready[10.0.0.12:443]", "ready[10.0.0.11:8080]"]


def test_a_check_may_stand_within_a_service_or_one_of_its_servers() -> None:
    text = """
        [[service]]
        name = "api"
        listen = "10.0.0.1:443"
        servers = ["10.0.0.11", { address = "10.0.0.12", check = { type = "icmp" } }]
        check = { type = "tcp", every = "1s" }
    """
    checks = read(text).checks
    assert [(check.name, check.type, check.every) for check in checks] == [
        ("api[10.0.0.11:443]", "tcp", 1.0),
        ("api[10.0.0.12]", "icmp", 5.0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('listen = "10.0.0.1:443"\ncheck = "@none"', 'no [[check]] is named "none"'),
        ('listen = "10.0.0.1:443"\ncheck = "none"', 'names no check: write "@name"'),
        ('listen = "10.0.0.1:443"\ncheck = { type = "tcp", target = "10.0.0.9:1" }', "a target of its own"),
        ('listen = "10.0.0.1:443"\ncheck = { type = "tcp", name = "x" }', "leave it out"),
        ('listen = "10.0.0.1:443"\ncheck = { every = "1s" }', "`type` is missing"),
        ('listen = "10.0.0.1:443"\ncheck = { type = "tcp", path = "/" }', "a check of type tcp has none"),
        ('listen = "10.0.0.1:443"\ncheck = { type = "tcp", src = "2001:db8::1" }', "another family"),
        ("fwmark = 7\ncheck = { type = 'tcp' }", "this server has no port"),
        ('listen = ["10.0.0.1:443", "10.0.0.1:80"]\ncheck = { type = "tcp" }', "this server has no port"),
    ],
)
def test_a_check_of_servers_has_to_be_one(text: str, message: str) -> None:
    assert message in complaint(f'[[service]]\n{text}\nservers = ["10.0.0.11"]')


def test_what_requires_a_service_requires_enough_of_its_servers() -> None:
    text = """
        [[service]]
        name = "api"
        listen = "10.0.0.1:443"
        servers = ["10.0.0.11", "10.0.0.12", "10.0.0.13"]
        check = { type = "tcp" }
        min_healthy = "50%"
        sorry = "10.0.0.99:80"
        [[route]]
        to = "10.30.0.0/16"
        type = "blackhole"
        requires = "!@service/api"
        when_all_down = "withdraw"
    """
    service, route = sorted(read(text).entries, key=lambda one: one.name, reverse=True)
    assert isinstance(service, ServiceEntry)
    assert (service.min_healthy, service.sorry and service.sorry.port) == (2, 80)
    (requirement,) = route.requires
    assert (requirement.check, requirement.is_inverted, requirement.need) == ("service/api", True, 2)
    assert requirement.servers == tuple(server.requires for server in service.servers)
    assert requirement.checks == tuple(f"api[10.0.0.{n}:443]" for n in (11, 12, 13))


def test_what_requires_a_service_requires_what_that_requires_itself_and_counts_no_server_of_weight_0() -> None:
    text = """
        [[check]]
        name = "wan"
        type = "icmp"
        target = "192.0.2.1"
        [[service]]
        name = "api"
        listen = "10.0.0.1:443"
        servers = ["10.0.0.11", { address = "10.0.0.12", weight = 0 }]
        check = { type = "tcp" }
        requires = "@wan"
        min_healthy = 2
    """
    route = next(one for one in read(text + ROUTE).entries if one.name.startswith("route/"))
    (requirement,) = route.requires
    assert requirement.checks == ("wan", "api[10.0.0.11:443]")
    assert requirement.need == 1  # with more than there are it would never be up


CHECKED = '[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = ["10.0.0.11"]\ncheck = { type = "tcp" }\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CHECKED + ROUTE.replace("api", "other"), "no [[service]] is named other"),
        (CHECKED.replace('check = { type = "tcp" }', "") + ROUTE, "servers without a check"),
        (CHECKED.replace('"10.0.0.11"', '{ address = "10.0.0.11", weight = 0 }') + ROUTE, "no servers that take"),
        (CHECKED + 'requires = "@service/api"', "cannot require itself"),
        (
            CHECKED
            + CHECKED.replace('"api"', '"b"').replace("10.0.0.1:", "10.0.0.2:")
            + 'requires = "@service/api"\n'
            + ROUTE.replace("api", "b"),
            "require that one",
        ),
        (CHECKED + "min_healthy = 2", "there are 1 servers"),
        (CHECKED + 'min_healthy = "5"', "is not a share"),
        (CHECKED + 'sorry = "10.0.0.9"\nwhen_all_down = "refuse"', "exclude each other"),
        (CHECKED + 'sorry = "2001:db8::9"', "another family"),
    ],
)
def test_what_cannot_be_required_of_a_service_is_said(text: str, message: str) -> None:
    assert message in complaint(text)


VIP = '[[vip]]\nname = "v"\naddress = "10.0.0.1"\n'
BEHIND = '[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\n'


@pytest.mark.parametrize(
    "text",
    [
        'node = "10.20.0.11"\n' + BEHIND + 'servers = ["10.20.0.12", "10.20.0.11"]',
        'node = "10.20.0.11"\n' + BEHIND + 'forward = "direct"\nservers = ["10.20.0.11"]',
        'node = "@lan"\n' + BEHIND + 'servers = ["127.0.0.1"]',
        'node = "@lan"\n' + BEHIND + 'servers = ["10.20.0.12"]\nsorry = "127.0.0.1:80"',
        'node = "@lan"\n' + BEHIND + 'servers = ["10.9.0.1"]\n[[address]]\naddress = "10.9.0.1/24"\ndev = "eth0"',
    ],
)
def test_a_server_on_this_very_host_behind_a_vip_that_is_routed_only_would_lose_packets(text: str) -> None:
    lan = '[[interface]]\nname = "lan"\nmatch = [{ name = "eth1" }]\n'
    assert "write `local = true` there" in complaint(lan + VIP + text)
    assert not complaint(lan + VIP + "local = true\n" + text)


def test_a_server_elsewhere_behind_a_routed_vip_is_what_it_is_for() -> None:
    assert not complaint(VIP + 'node = "10.20.0.11"\n' + BEHIND + 'servers = ["10.20.0.12"]')
    assert not complaint(
        VIP + 'node = "10.20.0.11"\n' + BEHIND.replace("10.0.0.1", "10.0.0.2") + 'servers = ["10.20.0.11"]'
    )


LISTED = '[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers_file = "servers.txt"\n'


def servers_file(text: str) -> Source:
    return source(text, "/etc/servers.txt", "servers")


def test_servers_may_stand_in_a_file_one_a_line() -> None:
    text = "# masters\n10.0.0.11\r\n 10.0.0.12:8443 weight 3 ; new\n\n10.0.0.13 weight 0\n10.0.0.11\n"
    found = entry(LISTED + 'check = { type = "tcp" }', servers_file(text))
    assert isinstance(found, ServiceEntry)
    assert [(one.address[-1], one.port, one.value.weight) for one in found.servers] == [
        (11, 0, 1),
        (12, 8443, 3),
        (13, 0, 0),
    ]
    assert [one.requires[0].check for one in found.servers] == [
        "api[10.0.0.11:443]",
        "api[10.0.0.12:8443]",
        "api[10.0.0.13:443]",
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("10.0.0.11\n  server\n", 2, 3, '"server"'),
        ("10.0.0.11 3\n", 1, 1, "weight 3"),
        ("10.0.0.11 weight 2147483648\n", 1, 1, "from 0 to 2147483647"),
        ("10.0.0.11:70000\n", 1, 1, "from 1 to 65535"),
        ("# none yet\n", 0, 0, "the file has no server"),
        ("", 0, 0, "the file has no server"),
    ],
)
def test_a_line_that_is_no_server_and_a_file_without_any_are_told_with_their_place(
    text: str, line: int, column: int, message: str
) -> None:
    (problem,) = problems(LISTED, servers_file(text))
    assert (problem.file, problem.line, problem.column) == ("/etc/servers.txt", line, column)
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.11\n2001:db8::11\n", "line 2: this server is ipv6"),
        ("10.0.0.11\n\n10.0.0.11:443\n", "line 3: `servers` names one twice"),
        ("10.0.0.11\n10.0.0.11 weight 2\n", "line 2: `servers` names one twice"),
    ],
)
def test_a_server_of_a_file_that_does_not_suit_the_service_is_told_with_its_line(text: str, message: str) -> None:
    assert message in complaint(LISTED, servers_file(text))


def test_servers_stand_in_one_place_and_their_file_is_among_the_files() -> None:
    assert "exclude each other" in complaint(LISTED + SERVERS, servers_file("10.0.0.11"))
    assert "/etc/servers.txt is not among the files" in complaint(LISTED)


def test_a_file_of_servers_that_is_no_more_there_is_told_at_the_key_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "routed.toml").write_text(HEAD + LISTED)
    with pytest.raises(IntentError, match=r"`servers_file`: .*servers.txt: no such file"):
        load(tmp_path / "routed.toml", root=tmp_path)
    (tmp_path / "servers.txt").write_text("10.0.0.11\n")
    intent = load(tmp_path / "routed.toml", root=tmp_path).intent
    assert [(one.role, Path(one.path).name) for one in intent.sources] == [
        ("main", "routed.toml"),
        ("servers", "servers.txt"),
    ]
    (tmp_path / "servers.txt").write_text("10.0.0.12\n")
    changed = load(tmp_path / "routed.toml", root=tmp_path).intent
    assert find_changed_files(intent, changed) == ([str(tmp_path / "servers.txt")], True)  # so it applies at once


def test_the_settings_of_ipvs_stand_in_a_table_of_their_own_and_a_later_file_takes_key_by_key() -> None:
    text = '[ipvs]\npoll = "2s"\nsysctl = { conntrack = true, arp_ignore = false }'
    found = read(text, drop_in('[ipvs]\npoll = "1s"')).settings
    assert found.ipvs == IpvsSettings(1.0, (("arp_ignore", False), ("conntrack", True)))
    assert found.polls == {"ipvs": 1.0}
    assert read("").settings.ipvs == IpvsSettings()
    for poll in ("1ms", "2h"):
        assert "at least 100ms and at most 1h" in complaint(f'[ipvs]\npoll = "{poll}"')
    assert "did you mean `poll`" in complaint('[ipvs]\npol = "2s"')
    assert "with two brackets" not in complaint('[[ipvs]]\npoll = "2s"')


def test_timeouts_are_an_entry_of_which_the_last_file_says_all() -> None:
    text = '[ipvs]\npoll = "2s"\ntimeouts = { tcp = "2h", udp = "30s" }'
    (found,) = read(text).entries
    assert found == TimeoutsEntry(name="ipvs/timeouts", origin=found.origin, timeouts=(("tcp", 7200), ("udp", 30)))
    assert found.origin.line == 4
    assert read(text).settings.ipvs == IpvsSettings(2.0)
    (later,) = read(text, drop_in('[ipvs]\ntimeouts = { tcp_fin = "1m" }')).entries
    assert isinstance(later, TimeoutsEntry)
    assert later.timeouts == (("tcp_fin", 60),)
    assert read(text, drop_in("[ipvs]\ntimeouts = {}")).entries == ()
    assert read(text, drop_in('[ipvs]\npoll = "1s"')).entries == (found,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('tcp = "0s"', "must be longer than nothing"),
        ('tcp = "500ms"', "must be from 1s to 24d: the kernel counts whole seconds"),
        ('tcp = "1.5s"', "must be from 1s to 24d: the kernel counts whole seconds"),
        ('tcp = "25d"', "must be from 1s to 24d: the kernel counts whole seconds"),
        ("tcp = 900", "a duration needs its unit"),
        ('tcpfin = "60s"', "did you mean `tcp_fin`"),
    ],
)
def test_a_timeout_that_the_kernel_would_not_keep_is_refused(text: str, message: str) -> None:
    assert message in complaint(f"[ipvs]\ntimeouts = {{ {text} }}")
