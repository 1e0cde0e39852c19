"""``append``: several IPv4 routes under one key, in the words of the file, of ``ip`` and of other programs."""

from __future__ import annotations

import pytest

from routed.intent.export import export
from routed.model import names
from routed.model.entries import HopSpec, RouteEntry
from routed.model.facts import Facts, Link
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.objects import Hop, Kind, RouteSlot, RouteValue, Standing
from tests.unit.intent.importing_help import imported, route
from tests.unit.intent.intent_help import complaint, entry, problems

ROUTE = '[[route]]\nto = "192.0.2.0/24"\nvia = "10.0.0.2"\n'


def read(append: str) -> RouteEntry:
    found = entry(f"{ROUTE}append = {append}\n")
    assert isinstance(found, RouteEntry)
    return found


def test_each_says_where_it_leads_and_all_share_the_key() -> None:
    text = (
        '[{ via = "10.0.0.3", src = "10.0.0.9", mtu = 1400, lock = ["mtu"] }, { type = "unreachable" },'
        ' { hops = [{ via = "10.0.0.4" }, { dev = "eth1" }] }]'
    )
    first, last, several = read(text).append
    assert first.hops == (HopSpec(via=parse_address("10.0.0.3")),)
    assert (first.src, first.metrics, first.lock) == (parse_address("10.0.0.9"), ((2, 1400),), 1 << 2)
    assert (last.type, last.hops) == (names.UNREACHABLE, ())
    assert [hop.dev for hop in several.hops] == ["", "eth1"]


def test_what_stands_behind_may_use_a_next_hop_of_the_files() -> None:
    text = f'{ROUTE}append = [{{ nhid = 7 }}]\n[[nexthop]]\nid = 7\nvia = "10.0.0.7"\n'
    assert problems(text) == ()
    assert complaint(text.replace("nhid = 7", "nhid = 8")) == "`nhid`: no [[nexthop]] has the id 8"


@pytest.mark.parametrize(
    ("append", "said"),
    [
        ('[{ via = "10.0.0.3", metric = 5 }]', "unknown key `metric` / it is for all of them: write `metric` beside"),
        ('[{ via = "10.0.0.3", table = 5 }]', "write `table` beside `append`"),
        ('[{ via = "10.0.0.3", to = "10.0.0.0/8" }]', "write `to` beside `append`"),
        ('[{ via = "10.0.0.3", requires = "@x" }]', "write `requires` beside `append`"),
        ('[{ vai = "10.0.0.3" }]', "did you mean `via`?"),
        ('[{ via = "10.0.0.2" }]', "this is the same as the route itself"),
        ('[{ via = "10.0.0.3" }, { via = "10.0.0.3" }]', "this is the same as append[0]"),
        ("[{ mtu = 1400 }]", "the route leads nowhere"),
        ('[{ type = "blackhole", via = "10.0.0.3" }]', "leads nowhere"),
        ('[{ hops = [{ via = "10.0.0.3", requires = "@x" }] }]', "`requires` stands for the whole route"),
        ('[{ dev = "@x" }]', 'no [[interface]] is named "x"'),
        ("[]", "`append` is empty"),
        ('{ via = "10.0.0.3" }', "must be an array"),
        ('[{ via = "10.0.0.3", append = [] }]', "write `append` beside `append`"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused_before(append: str, said: str) -> None:
    assert said in complaint(f"{ROUTE}append = {append}\n")


def test_the_place_of_a_complaint_is_in_the_table_that_it_is_about() -> None:
    (problem,) = problems(f'{ROUTE}append = [\n  {{ via = "10.0.0.3" }},\n  {{ via = "0.0.0.0" }},\n]\n')
    assert (problem.line, problem.column) == (7, 11)


def test_ipv6_is_told_what_it_has_instead() -> None:
    text = '[[route]]\nto = "2001:db8::/48"\nvia = "fe80::1"\ndev = "a"\nappend = [{ via = "fe80::2", dev = "a" }]\n'
    assert complaint(text).startswith("`append` is for IPv4 only / several gateways of an IPv6 route are `hops`")


def test_members_and_an_order_exclude_each_other() -> None:
    text = (
        '[[source]]\nname = "s"\ntype = "file"\npath = "/x"\naddresses_within = ["10.0.0.0/8"]\n'
        '[[route]]\nname = "r"\nto = "192.0.2.0/24"\nfor_each = "@s"\nvia = "{address}"\n'
        'append = [{ via = "10.0.0.3" }]\n'
    )
    assert complaint(text).startswith("`append` and `for_each` exclude each other")


LINES = ("192.0.2.0/24 via 10.0.0.2 dev eth0", "192.0.2.0/24 via 10.0.0.3 dev eth0 src 10.0.0.9")
BOTH = {
    "to": "192.0.2.0/24",
    "via": "10.0.0.2",
    "dev": "eth0",
    "append": [{"via": "10.0.0.3", "dev": "eth0", "src": "10.0.0.9"}],
}


def test_what_ip_shows_under_one_key_is_one_route() -> None:
    assert route("ip", "\n".join(LINES)) == BOTH


def test_what_is_appended_stands_behind_and_what_is_prepended_in_front() -> None:
    assert route("ip", f"ip route add {LINES[0]}\nip route append {LINES[1]}") == BOTH
    assert route("ip", f"ip route add {LINES[1]}\nip route prepend {LINES[0]}") == BOTH


def test_what_the_kernel_would_refuse_in_a_script_stays_left_out() -> None:
    tables, left_out = imported("ip", f"ip route add {LINES[0]}\nip route add {LINES[1]}")
    assert [one["via"] for one in tables["route"]] == ["10.0.0.2"]
    assert "is also in" in left_out[0]


def test_what_is_told_twice_stays_left_out() -> None:
    tables, left_out = imported("ip", f"{LINES[0]}\n{LINES[0]}")
    assert len(tables["route"]) == len(left_out) == 1


def test_keepalived_puts_the_later_in_front_unless_it_is_told_to_append() -> None:
    text = "static_routes {{\n    192.0.2.0/24 via {} dev eth0\n    192.0.2.0/24 via {} dev eth0{}\n}}\n"
    wanted = {"to": "192.0.2.0/24", "via": "10.0.0.2", "dev": "eth0", "append": [{"via": "10.0.0.3", "dev": "eth0"}]}
    assert route("keepalived", text.format("10.0.0.3", "10.0.0.2", "")) == wanted
    assert route("keepalived", text.format("10.0.0.2", "10.0.0.3", " append")) == wanted


FACTS = Facts(links={2: Link(2, "eth0", is_up=True, has_carrier=True)})
SLOT = RouteSlot(IPV4, names.TABLE_MAIN, 0)
A, B = (RouteValue(1, 4, hops=(Hop(2, parse_address(f"10.0.0.{number}")),)) for number in (2, 3))
KERNELS = RouteValue(1, names.PROTOCOL_KERNEL, names.LINK, (Hop(2),))


def exported(*standing: tuple[str, RouteValue]) -> list[RouteEntry]:
    text, _ = export([(Kind.ROUTE, Standing(SLOT, parse_prefix(to), value)) for to, value in standing], FACTS)
    found = [entry("[[route]]" + one) for one in text.split("[[route]]")[1:]]
    return [one for one in found if isinstance(one, RouteEntry)]


def gateways(route: RouteEntry) -> list[bytes]:
    return [hop.via for hop in route.every_hop]


def test_what_the_kernel_has_in_an_order_is_written_in_it() -> None:
    one, other = exported(("192.0.2.0/24", A), ("192.0.2.0/24", B), ("198.51.100.0/24", B), ("198.51.100.0/24", A))
    assert gateways(one) == [A.hops[0].gateway, B.hops[0].gateway]
    assert gateways(other) == [B.hops[0].gateway, A.hops[0].gateway]


def test_what_is_the_kernels_own_is_no_part_of_it() -> None:
    (only,) = exported(("192.0.2.0/24", KERNELS), ("192.0.2.0/24", A), ("192.0.2.0/24", KERNELS), ("192.0.2.0/24", B))
    assert gateways(only) == [A.hops[0].gateway, B.hops[0].gateway]
