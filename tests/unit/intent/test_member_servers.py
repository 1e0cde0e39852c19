"""``servers`` with ``for_each``: what is taken, and what is wrong with it, where it stands."""

from __future__ import annotations

import pytest

from routed.model.checks import CheckType
from routed.model.entries import Fill, ServiceEntry, Where
from routed.model.net import FAMILIES, IPV4, IPV6, parse_prefix
from tests.unit.intent.intent_help import complaint, problems, read

SOURCE = '[[source]]\nname = "web"\ntype = "file"\npath = "w.json"\n'
BOUNDED = SOURCE + 'addresses_within = ["10.0.0.0/24"]\n'
ADDRESS = 'address = "{address}:8443"'


def service(servers: str, more: str = "", listen: str = '"10.9.9.9:443"') -> str:
    """A service with these keys of its servers."""
    return (
        f'[[service]]\nname = "api"\nlisten = {listen}\n{more}\n[service.servers]\nfor_each = "@web"\n' + servers + "\n"
    )


def find(servers: str, more: str = "", listen: str = '"10.9.9.9:443"') -> ServiceEntry:
    (entry,) = read(BOUNDED + service(servers, more, listen)).entries
    assert isinstance(entry, ServiceEntry)
    assert entry.each is not None
    return entry


def test_the_service_knows_its_source_and_what_members_fill() -> None:
    entry = find(f'where = {{ ready = true }}\n{ADDRESS}\nweight = "{{weight}}"\nmax_connections = 9')
    each = entry.each
    assert each is not None
    assert (entry.follows, entry.servers, each.where) == ("web", (), Where(is_ready=True))
    assert each.fills == (Fill("address", "{address}"), Fill("weight", "{weight}"))
    assert (each.body.port, each.body.value.upper) == (8443, 9)
    assert each.addresses_within == (parse_prefix("10.0.0.0/24"),)


@pytest.mark.parametrize(
    ("address", "fills", "port"),
    [
        ("{address}", [("address", "{address}")], 0),
        ("{address}:{port}", [("address", "{address}"), ("port", "{port}")], None),
        ("[{address}]:53", [("address", "{address}")], 53),
        ("[{address}]", [("address", "{address}")], 0),
        ("fd00::{labels.last}", [("address", "fd00::{labels.last}")], 0),
        ("{labels.ip}:1{port}", [("address", "{labels.ip}"), ("port", "1{port}")], None),
    ],
)
def test_an_address_is_filled_apart_from_its_port(address: str, fills: list[tuple[str, str]], port: int | None) -> None:
    each = find(f'address = "{address}"').each
    assert each is not None
    assert [tuple(one) for one in each.fills] == fills
    assert port is None or each.body.port == port


def test_members_are_of_the_family_of_the_service_unless_packets_go_by_a_tunnel() -> None:
    def families(more: str = "", listen: str = '"10.9.9.9:443"') -> tuple[int, ...]:
        each = find('address = "{address}"', more, listen).each
        assert each is not None
        return each.families

    assert families() == (IPV4,)
    assert families(listen='"[2001:db8::9]:443"') == (IPV6,)
    assert families(listen='"@local:443"') == FAMILIES
    assert families('forward = "tunnel"') == FAMILIES


def test_their_check_and_their_share_are_kept_for_when_they_are_known() -> None:
    each = find(f'{ADDRESS}\ncheck = {{ type = "tcp" }}', 'min_healthy = "50%"').each
    assert each is not None
    assert each.share == 0.5
    assert each.body.check is not None
    assert (each.body.check[0].type, each.has_port) == (CheckType.TCP, True)


def test_a_number_of_servers_that_have_to_be_up_is_not_held_against_the_sample() -> None:
    assert find(ADDRESS, "min_healthy = 3").min_healthy == 3


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ('address = "10.0.0.1:443"', "`address` has no field of the members"),
        ('address = "{address}:{x}"', "members have no field {x}"),
        ('address = "{address}:99999"', "must be a number from 1 to 65535"),
        (ADDRESS + '\nforward = "{labels.f}"', "`forward` is nothing that a member may fill"),
        (ADDRESS + "\nwieght = 3", "unknown key `wieght`"),
        (ADDRESS + "\ndisabled = true", "there would be no server at all"),
        (ADDRESS + '\nforward = "direct"', "the port of this server is not that of the service"),
        ('address = "{address}:{port}"\nforward = "direct"', "the port of this server is not that of the service"),
        (ADDRESS + "\nwhere = { mine = true }", "mine"),
        (ADDRESS + '\ncheck = "@nobody"', 'no [[check]] is named "nobody"'),
        (ADDRESS + '\nrequires = "@nobody"', "nobody"),
    ],
)
def test_what_cannot_be_is_refused(servers: str, said: str) -> None:
    assert said in complaint(BOUNDED + service(servers))


def test_addresses_need_bounds() -> None:
    assert "source/web at /etc/routed.toml:2 has no `addresses_within`" in complaint(SOURCE + service(ADDRESS))


def test_a_source_has_to_be_there() -> None:
    assert 'no [[source]] is named "web"' in complaint(service(ADDRESS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('for_each = "@web"\nservers = []', "`for_each` is not known in [[service]]"),
        ('servers = { address = "10.0.0.1" }', "must be an array"),
        ('servers = [{ for_each = "@web", address = "10.0.0.1" }]', "unknown key `for_each`"),
    ],
)
def test_it_stands_in_servers_and_nowhere_else(text: str, said: str) -> None:
    assert said in complaint(f'{BOUNDED}[[service]]\nname = "api"\nlisten = "10.9.9.9:443"\n{text}\n')


def test_who_requires_such_a_service_needs_a_check_of_its_servers() -> None:
    text = '[[route]]\nto = "10.8.0.0/16"\nvia = "10.0.0.1"\nrequires = "@service/api"\nwhen_all_down = "withdraw"\n'
    assert "has servers without a check" in complaint(BOUNDED + service(ADDRESS) + text)
    assert problems(BOUNDED + service(ADDRESS + '\ncheck = { type = "tcp" }') + text) == ()


def test_the_questions_of_their_checks_have_a_way_before_there_are_members() -> None:
    intent = read(BOUNDED + service(ADDRESS + '\ncheck = { type = "tcp", via = "10.0.0.7" }'))
    assert [entry.name for entry in intent.entries] == [
        "check/api[each][route]",
        "check/api[each][rule]",
        "service/api",
    ]
    entry = intent.entries[-1]
    assert isinstance(entry, ServiceEntry)
    assert entry.each is not None
    assert entry.each.body.check is not None
    assert entry.each.body.check[0].mark
