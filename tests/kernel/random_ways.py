"""Random rules, tables, routes and packets, as `ip` takes them and as `why` does: for tests that compare the two."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from routed.model.lookup import Flow, Question
from routed.model.net import parse_address


class Family(NamedTuple):
    """The same worlds in a family of addresses."""

    option: str
    prefixes: tuple[str, ...]
    addresses: tuple[str, ...]
    sources: tuple[str, ...]  # of this host
    strangers: tuple[str, ...]  # of others
    gateways: tuple[tuple[str, str], ...]  # with their links
    source_prefixes: tuple[str, ...]


IPV4: Final = Family(
    "-4",
    (
        *("default", "127.0.0.0/24", "203.0.112.0/20", "203.0.113.0/24", "203.0.113.128/25", "203.0.113.200"),
        *("198.51.100.0/24", "10.1.0.0/25"),
    ),
    (
        *("203.0.113.200", "203.0.113.130", "203.0.113.5", "203.0.112.9", "198.51.100.7", "192.0.2.1", "10.1.0.9"),
        *("10.0.0.1", "10.1.0.200", "127.0.0.5", "10.0.0.255"),
    ),
    ("10.0.0.1", "10.1.0.1", "10.2.0.1"),
    ("10.0.0.77", "10.1.0.77", "198.51.100.9", "172.16.5.5"),
    (("10.0.0.2", "v0"), ("10.0.0.3", "v0"), ("10.1.0.2", "v1"), ("10.2.0.2", "v2")),
    ("10.0.0.0/24", "10.1.0.1", "10.0.0.0/8", "198.51.100.0/24"),
)
IPV6: Final = Family(
    "-6",
    ("default", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:8000::/49", "2001:db8:1:8000::5", "2001:db8:9::/48"),
    (
        *("2001:db8:1:8000::5", "2001:db8:1:8000::6", "2001:db8:1::7", "2001:db8:2::1", "2001:db8:9::9", "3fff::1"),
        *("fd00::1", "fd01::99", "fd02::1"),
    ),
    ("fd00::1", "fd01::1", "fd02::1"),
    ("fd00::77", "2001:db8:9::77", "3fff::5"),
    (("fd00::2", "v0"), ("fd00::3", "v0"), ("fd01::2", "v1"), ("fd02::2", "v2")),
    ("fd00::/64", "fd01::1", "fd00::/8", "2001:db8:9::/48"),
)


class Ground(NamedTuple):
    """On what a world stands."""

    tables: tuple[str, ...]
    links: tuple[str, ...]
    has_vrf: bool = False


VRF, VRF_TABLE = "red", 40
FLAT: Final = Ground(("main", "main", "10", "20", "30", "default"), ("v0", "v1", "v2"))
WITH_VRF: Final = Ground((*FLAT.tables, *[str(VRF_TABLE)] * 4), (*FLAT.links, "v1", VRF), has_vrf=True)
MARKS: Final = (0, 1, 7, 0x17)
TOS: Final = (0, 0x10, 0x08)
PORTS: Final = (0, 53, 80, 1000)
PROTOCOLS: Final = ((6, "tcp"), (17, "udp"))


def maybe(random: Random, share: float, text: str) -> str:
    """The text, now and then."""
    return text if random.random() < share else ""


def make_route(random: Random, family: Family, ground: Ground = FLAT) -> str:
    """One `ip route append` line; some of them the kernel refuses."""
    is_ipv4 = family is IPV4
    kind = random.choice(["", "", "", "", "", "blackhole", "unreachable", "prohibit", "throw"])
    words = ["route", "append", kind, random.choice(family.prefixes), "table", random.choice(ground.tables)]
    words += [maybe(random, 0.7, f"metric {random.choice([1, 5, 50])}")]
    words += [maybe(random, 0.2, f"tos 0x{random.choice(TOS):x}")] if is_ipv4 else []
    words += [] if is_ipv4 else [maybe(random, 0.25, f"from {random.choice(family.source_prefixes)}")]
    words += [] if is_ipv4 else [maybe(random, 0.2, f"pref {random.choice(['low', 'high'])}")]
    if kind:
        return " ".join(words)
    hops = random.sample(family.gateways, random.choice([1, 1, 1, 1, 2, 3]))
    if len(hops) > 1:
        words += [f"nexthop via {gateway} dev {dev}" for gateway, dev in hops]
    else:
        words += [random.choice(["via {} dev {}", "via {} dev {}", "dev {1}"]).format(*hops[0])]
    return " ".join(words)


def make_rule(random: Random, family: Family, ground: Ground = FLAT) -> str:
    """One `ip rule add` line."""
    pref = random.choice([50, 100, 100, 200, 300, 400, 33000])
    words = ["rule", "add", maybe(random, 0.15, "not"), "pref", str(pref)]
    words += [maybe(random, 0.25, f"from {random.choice(family.source_prefixes)}")]
    words += [maybe(random, 0.25, f"to {random.choice([one for one in family.prefixes if one != 'default'])}")]
    words += [maybe(random, 0.2, f"fwmark {random.choice(['1', '7', '0x10/0x30', '0/1'])}")]
    words += [maybe(random, 0.1, f"iif {random.choice([*ground.links, 'lo', 'gone'])}")]
    words += [maybe(random, 0.1, f"oif {random.choice([*ground.links, 'gone'])}")]
    words += [maybe(random, 0.15, f"tos 0x{random.choice(TOS):x}")]
    words += [maybe(random, 0.15, f"uidrange {random.choice(['0-10', '55-60', '1000-2000'])}")]
    words += [maybe(random, 0.15, f"ipproto {random.choice(['tcp', 'udp'])}")]
    words += [maybe(random, 0.15, f"dport {random.choice(['53', '50-100', '1000'])}")]
    words += [maybe(random, 0.1, f"sport {random.choice(['53', '50-100'])}")]
    action = random.random()
    if action < 0.1:
        words.append(random.choice(["blackhole", "unreachable", "prohibit"]))
    elif action < 0.2:
        words.append(f"goto {random.choice([200, 300, 350, 400, 32766])}")
    elif action < 0.25:
        words.append("nop")
    else:
        tables = [f"lookup {table}" for table in ground.tables]
        words.append(random.choice([*tables, "l3mdev", "l3mdev"] if ground.has_vrf else tables))
        if words[-1] == "l3mdev":  # with others beside it, `not` makes the kernel look in a table at random
            words[2] = ""
        words += [maybe(random, 0.2, f"suppress_prefixlength {random.choice([0, 16, 24, 48])}")]
        words += [maybe(random, 0.15, f"suppress_ifgroup {random.choice([0, 5])}")]
    return " ".join(words)


def make_world(random: Random, family: Family, ground: Ground = FLAT, *, has_rules: bool = True) -> str:
    """A batch for `ip`."""
    lines = [make_route(random, family, ground) for _ in range(random.randint(2, 24))]
    lines += [make_rule(random, family, ground) for _ in range(random.randint(1, 8))] if has_rules else []
    return "\n".join(lines)


def make_troubles(random: Random) -> str:
    """A batch for `ip`: links without carrier or down, and neighbours that are known not to answer."""
    lines = [maybe(random, 0.3, "link set v1p down"), maybe(random, 0.15, "link set v2 down")]
    lines += [
        maybe(random, 0.3, f"neigh replace {gateway} dev {dev} nud failed")
        for family in (IPV4, IPV6)
        for gateway, dev in family.gateways
    ]
    return "\n".join(line for line in lines if line)


def make_packet(random: Random, family: Family, ground: Ground = FLAT) -> Question:
    """A packet that the kernel can be asked about."""
    comes_in = random.random() < 0.3
    source = random.choice(family.strangers + family.sources) if comes_in else random.choice(("", "", *family.sources))
    protocol = random.choice([0, 0, 6, 17])
    flow = Flow(
        source=parse_address(source) if source else b"",
        iif=random.choice(ground.links) if comes_in else "",
        oif="" if comes_in or random.random() < 0.75 else random.choice(ground.links),
        mark=random.choice(MARKS),
        tos=random.choice(TOS),
        ipproto=protocol,
        sport=random.choice(PORTS) if protocol else 0,
        dport=random.choice(PORTS) if protocol else 0,
        uid=0 if comes_in else random.choice([0, 0, 57, 1500]),
    )
    return Question(parse_address(random.choice(family.addresses)), flow)
