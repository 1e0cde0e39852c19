"""``[[route]]``: what it may say, and what the kernel would refuse."""

from __future__ import annotations

import pytest

from routed.model import attributes, names
from routed.model.attributes import split
from routed.model.entries import HopSpec, RouteEntry
from routed.model.net import ANY_V4, ANY_V6, DEFAULT, IPV4, IPV6, parse_address, parse_prefix
from tests.unit.intent.intent_help import complaint, entry, read, source


def route(text: str) -> RouteEntry:
    found = entry("[[route]]\n" + text)
    assert isinstance(found, RouteEntry)
    return found


def refused(text: str) -> str:
    return complaint("[[route]]\n" + text)


def test_a_route_says_all_that_ip_route_says() -> None:
    found = route("""
        name = "all"
        to = "10.30.0.0/16"
        via = "10.20.0.1"
        dev = "eth0"
        onlink = true
        src = "10.20.0.11"
        table = 120
        metric = 50
        tos = "0x10"
        scope = "site"
        mtu = 1400
        advmss = 1360
        initcwnd = 20
        congctl = "bbr"
        quickack = true
        lock = ["mtu", "congctl"]
        enforce = "observe"
        on_conflict = "refuse"
    """)
    assert found.name == "route/all"
    assert found.prefixes == {IPV4: frozenset({parse_prefix("10.30.0.0/16")})}
    assert found.hops == (HopSpec(parse_address("10.20.0.1"), "eth0", 1, True),)
    assert (found.table, found.metric, found.tos, found.scope) == (120, 50, 16, names.SITE)
    assert found.metrics == ((2, 1400), (8, 1360), (11, 20), (15, 1), (16, "bbr"))
    assert found.lock == 1 << 2 | 1 << 16
    assert (found.enforce, found.on_conflict) == ("observe", "refuse")


def test_what_is_not_named_is_the_kernels_default() -> None:
    found = route('to = "10.0.0.0/8"\nvia = "192.0.2.1"')
    assert (found.table, found.metric, found.scope, found.metrics) == (names.TABLE_MAIN, None, None, ())


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ('via = "192.0.2.1"', {IPV4: ANY_V4}),
        ('via = "2001:db8::1"', {IPV6: ANY_V6}),
        ('via = "2001:db8::1"\nfamily = "ipv4"', {IPV4: ANY_V4}),
        ('dev = "eth0"\nsrc = "192.0.2.1"', {IPV4: ANY_V4}),
        ('dev = "eth0"\nfamily = "both"', {IPV4: ANY_V4, IPV6: ANY_V6}),
        ('hops = [{via = "2001:db8::1"}, {via = "192.0.2.1"}]', {IPV4: ANY_V4}),
    ],
)
def test_the_family_of_a_default_route_comes_from_its_addresses_or_is_told(
    text: str, families: dict[int, bytes]
) -> None:
    assert route('to = "default"\n' + text).prefixes == {key: frozenset({one}) for key, one in families.items()}


def test_a_default_route_of_no_family_asks_for_it() -> None:
    assert 'write family = "ipv4", "ipv6" or "both"' in refused('to = "default"\ndev = "eth0"')


def test_an_ipv4_route_may_have_an_ipv6_gateway() -> None:
    assert route('to = "10.0.0.0/8"\nvia = "fe80::1"\ndev = "eth0"').hops == (
        HopSpec(parse_address("fe80::1"), "eth0"),
    )


@pytest.mark.parametrize("kind", sorted(names.WRITABLE_TYPES))
def test_every_type_that_an_operator_may_write_exists(kind: str) -> None:
    hop = 'dev = "lo"' if names.WRITABLE_TYPES[kind] not in names.TYPES_WITHOUT_HOP else ""
    assert route(f'to = "10.0.0.0/8"\ntype = "{kind}"\ntable = 5\n{hop}').type == names.WRITABLE_TYPES[kind]


@pytest.mark.parametrize("metric", sorted(set(attributes.METRICS) - {"congctl"}))
def test_every_metric_exists_and_can_be_locked(metric: str) -> None:
    form = attributes.METRIC_OF[attributes.METRICS[metric]].form
    value = {attributes.FLAG: "true", attributes.TIME: '"7ms"', attributes.LIST: '["ecn"]'}.get(form, "7")
    found = route(f'to = "10.0.0.0/8"\ndev = "eth0"\n{metric} = {value}\nlock = ["{metric}"]')
    assert [number for number, _ in found.metrics] == [attributes.METRICS[metric]]
    assert found.lock == 1 << attributes.METRICS[metric]


def test_times_are_in_the_parts_of_a_millisecond_that_the_kernel_counts() -> None:
    found = route('to = "10.0.0.0/8"\ndev = "eth0"\nrtt = "1.125ms"\nrttvar = "7ms"\nrto_min = "1.5s"')
    assert found.metrics == ((4, 9), (5, 28), (13, 1500))
    assert found.lock == 1 << 13  # without which TCP does not look at it (tcp_rto_min in include/net/tcp.h)


def test_packets_from_some_sources_alone_are_another_key() -> None:
    found = route('to = "default"\ndev = "a"\nfrom = "2001:db8:a::/48"')
    assert (found.prefixes, found.source) == ({IPV6: {DEFAULT[IPV6]}}, parse_prefix("2001:db8:a::/48"))
    assert route('to = "2001:db8::/32"\ndev = "a"\nfrom = "::/0"').source == b""
    two = '[[route]]\nto = "2001:db8::/32"\ndev = "a"\nfrom = "{}"\n'
    assert len(read(two.format("fd00::/8") + two.format("fd00::/9")).entries) == 2


def test_a_source_in_a_prefix_that_the_files_make_local_is_an_address_of_this_host() -> None:
    own = '[[route]]\nto = "198.18.0.0/24"\ntype = "local"\ndev = "lo"\ntable = {}\n'
    lan = '[[route]]\nto = "10.0.0.0/8"\ndev = "a"\nsrc = "{}"\n'

    def is_routed(table: str, src: str) -> bool:
        *_, found = read(own.format(table) + lan.format(src)).entries
        assert isinstance(found, RouteEntry)
        return found.is_src_routed

    assert is_routed('"local"', "198.18.0.7")
    assert not is_routed('"local"', "198.18.1.7")
    assert not is_routed("77", "198.18.0.7")  # where the kernel does not look for it
    assert is_routed("254", "198.18.0.7")


def test_medium_is_what_no_attribute_stands_for() -> None:
    assert route('to = "2001:db8::/32"\ndev = "a"\npref = "medium"').extra == b""
    assert split(route('to = "2001:db8::/32"\ndev = "a"\npref = "low"').extra) == {20: b"\3"}


V4, V6 = 'to = "10.0.0.0/8"\n', 'to = "2001:db8::/32"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no destination"),
        (V4, "leads nowhere"),
        (V4 + 'prefixes = ["10.0.0.0/8"]\ndev = "a"', "exclude each other"),
        (V4 + 'via = "192.0.2.1"\nhops = [{dev = "a"}]', "write `via` inside each hop"),
        (V4 + "hops = []", "`hops` is empty"),
        (V4 + "hops = [{weight = 2}]", "neither `via` nor `dev`"),
        (V4 + 'hops = [{dev = "a", weight = 257}]', "must be 256 or less"),
        (V4 + 'hops = [{dev = "a", weight = 0}]', "must be 1 or more"),
        (V4 + 'hops = [{dev = "a"}, {dev = "a"}]', "stands there already"),
        (V6 + 'hops = [{dev = "a"}, {via = "fe80::1", dev = "a"}]', "needs `via`"),
        (V4 + 'type = "blackhole"\nvia = "192.0.2.1"', "leads nowhere"),
        (V4 + 'type = "blackhole"\nrealms = 1', "leads nowhere"),
        (V4 + 'realms = 1\nhops = [{dev = "a"}]', "write `realms` inside each hop"),
        (V6 + 'dev = "a"\nrealms = 1', "`realms` is for IPv4 only"),
        (V6 + 'hops = [{via = "fe80::1", dev = "a", realms = 1}]', "`realms` is for IPv4 only"),
        (V4 + 'dev = "a"\nrealms = "1/65536"', "from 0 to 65535"),
        (V4 + 'dev = "a"\nrealms = "0"', "no realm at all"),
        (V4 + 'dev = "a"\npref = "high"', "`pref` is for IPv6 only"),
        (V6 + 'dev = "a"\npref = "best"', 'must be "low", "medium" or "high"'),
        (V4 + 'dev = "a"\nrtt = "0.1ms"', "a multiple of 0.125ms"),
        (V4 + 'dev = "a"\nrto_min = "1.5ms"', "a multiple of a millisecond"),
        (V4 + 'dev = "a"\nrto_min = 200', 'write "200s" or "200ms"'),
        (V4 + 'dev = "a"\nfeatures = ["sack"]', 'must be "ecn" or "tcp_usec_ts"'),
        (V4 + 'type = "prohibit"\ndev = "a"', "leads nowhere"),
        (V4 + 'type = "local"', 'write dev = "lo"'),
        (V4 + 'type = "local"\ndev = "lo"\nvia = "192.0.2.1"', "no gateway"),
        (V4 + 'type = "local"\ndev = "lo"\nscope = "link"', "must be host"),
        (V4 + 'type = "nat"', 'must be "unicast"'),
        (V4 + 'type = "broadcast"', "needs `dev`"),
        (V4 + 'type = "anycast"\ndev = "a"\nvia = "192.0.2.1"', "no gateway"),
        (V4 + 'type = "broadcast"\ndev = "a"\nscope = "global"', "must be link"),
        (V4 + 'dev = "a"\nfrom = "10.0.0.1"', "the address that this host sends from is `src`"),
        (V6 + 'dev = "a"\nfrom = "10.0.0.1"', "different families"),
        (V6 + 'dev = "a"\nfrom = "fd00::/8"\n[[route]]\n' + V6 + 'dev = "b"\nfrom = "fd00::/8"', "is also in"),
        (V6 + 'via = "192.0.2.1"', "cannot have the IPv4 gateway"),
        (V4 + 'via = "fe80::1"', "write `dev` too"),
        (V4 + 'via = "0.0.0.0"', "not the address of a gateway"),
        (V6 + 'via = "ff02::1"\ndev = "a"', "not the address of a gateway"),
        (V4 + 'dev = "a"\nonlink = true', "`onlink` needs"),
        (V4 + 'type = "blackhole"\nonlink = true', "`onlink` needs"),
        (V4 + 'dev = "a"\nsrc = "2001:db8::1"', "cannot be the source of ipv4"),
        (V4 + 'dev = "a"\nsrc = "@storage"', 'no [[interface]] is named "storage"'),
        (V4 + 'dev = "a"\ntos = 1', "ECN"),
        (V6 + 'dev = "a"\ntos = 16', "IPv6 routes have none"),
        (V6 + 'dev = "a"\nscope = "link"', "IPv6 routes have none"),
        (V4 + 'via = "192.0.2.1"\nscope = "link"', "must be global or site"),
        (V4 + 'dev = "a"\ntable = 0', "no table 0"),
        (V4 + 'dev = "a"\nmetric = 4294967296', "must be 4294967295 or less"),
        (V4 + 'dev = "a"\nmetric = -1', "must be 0 or more"),
        (V4 + 'dev = "a"\nmtu = 65521', "must be 65520 or less"),
        (V4 + 'dev = "a"\nlock = ["mtu"]', "does not set"),
        (V4 + 'dev = "a"\nlock = ["speed"]', "must be"),
        (V4 + f'dev = "{"x" * 128}"', "longer than the 127"),
        (V4 + 'dev = "a/b"', "not the name of an interface"),
        (V4 + 'dev = "a"\nfamily = "ipv6"', "`family` is ipv6"),
        ('to = "10.0.0.1/8"\ndev = "a"', "write 10.0.0.0/8"),
        ('to = "10.0.0.0/33"\ndev = "a"', "from 0 to 32"),
        ('to = "ten"\ndev = "a"', "is not an IPv4 address"),
        ('to = true\ndev = "a"', "must be a string"),
        ('prefixes_file = ""\ndev = "a"', "must not be empty"),
        ('prefixes_file = "x"\ndev = "a"', "is not among the files"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused_before(text: str, said: str) -> None:
    assert said in refused(text)


def test_many_prefixes_share_one_entry_and_both_families_only_without_a_gateway() -> None:
    both = 'prefixes = ["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/8"]\n'
    found = route(both + 'type = "blackhole"')
    assert {family: len(members) for family, members in found.prefixes.items()} == {IPV4: 1, IPV6: 1}
    assert "cannot have the IPv4 gateway" in refused(both + 'via = "192.0.2.1"')


def test_a_prefix_file_counts_from_the_folder_of_the_file_that_names_it() -> None:
    text = '[[route]]\nprefixes_file = "routed.d/drop.txt"\ntype = "blackhole"\n'
    found = read(text, source("10.0.0.0/8\n", "/etc/routed.d/drop.txt", "prefixes")).entries[0]
    assert found.name == "route/drop.txt"
    assert isinstance(found, RouteEntry)
    assert found.prefixes == {IPV4: frozenset({parse_prefix("10.0.0.0/8")})}
