"""What a plan says would be if something happened is what is there when it happens: `ip -j` is the judge.

And the ways of packets are those that it foretells: `ip route get` is.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_batch, wait_until, wait_until_usable
from tests.system.daemon import Daemon

LINKS = ("v0", "v1")
LEGS = '[{{ via = "{}", dev = "v0" }}, {{ via = "{}", dev = "v1" }}]'
ANY = '[[interface]]\nname = "up"\nhold = "100ms"\nmatch = [{ name = "v0" }, { name = "v1" }]'
FILES = (
    '[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "10.0.0.9"',
    '[[route]]\nname = "six"\nto = "fd30::/64"\nvia = "fd01::9"',
    f'[[route]]\nname = "legs"\nto = "10.31.0.0/16"\nhops = {LEGS.format("10.0.0.9", "10.1.0.9")}',
    f'[[route]]\nname = "legs-six"\nto = "fd31::/64"\nhops = {LEGS.format("fd00::9", "fd01::9")}',
    '[[route]]\nname = "from-mine"\nto = "10.32.0.0/16"\nvia = "10.1.0.9"\nsrc = "10.0.0.7"',
    '[[address]]\nname = "mine"\naddress = "10.0.0.7/24"\ndev = "v0"',
    '[[address]]\nname = "own"\naddress = "10.5.0.1/24"\ndev = "v1"',
    '[[route]]\nname = "behind-own"\nto = "10.33.0.0/16"\nvia = "10.5.0.9"',
    '[[address]]\nname = "own-six"\naddress = "fd05::1/64"\ndev = "v0"\nnodad = true',
    '[[rule]]\nname = "by-source"\npriority = 1200\nfrom = "10.0.0.0/24"\ntable = 120',
    '[[route]]\nname = "in-table"\nto = "default"\ntable = 120\nvia = "10.0.0.254"\ndev = "v0"\nsrc = "10.0.0.1"',
    '[[route]]\nname = "drop"\nto = "10.34.0.0/16"\ntype = "blackhole"',
    f'{ANY}\n[[route]]\nname = "on-any"\nto = "10.35.0.0/16"\ndev = "@up"',
    '[[route]]\nname = "onlink"\nto = "10.36.0.0/16"\nvia = "10.99.0.1"\ndev = "v1"\nonlink = true',
    '[[vip]]\nname = "vip"\naddress = "10.103.0.1"\nnode = "10.1.0.1"\nwhen = "always"',
)  # fmt: skip
STRANGERS = (
    "route add 10.90.0.0/16 via 10.0.0.8", "route add 10.91.0.0/16 via 10.1.0.8 src 10.0.0.1",
    "addr add 10.0.0.5/24 dev v0",
    "route add fd90::/64 via fd00::8", "route add 10.30.0.0/16 via 10.1.0.8 metric 50",
    "rule add priority 900 lookup 77",
    "route add default via 10.1.0.254 metric 9", "addr add fd00::5/64 dev v0 nodad",
)  # fmt: skip
DEEDS = {
    "down": ("link set {0} down",),
    "up": ("link set {0}p up", "link set {0} up"),
    "no-carrier": ("link set {0}p down",),
    "gone": ("link del {0}",),
}

ADDRESSES = (
    (
        *("198.51.100.7", "10.30.1.1", "10.31.1.1", "10.34.0.1", "10.33.4.4", "10.90.0.9", "10.0.0.7"),
        *("10.0.0.1", "10.1.0.9"),
    ),
    ("fd30::7", "fd31::9", "fd90::1", "fd00::77", "fd01::1", "2001:db8::1"),
)
# of each family: what else is said of the packets, as `why` and `ip route get` take it
FLOWS: tuple[tuple[tuple[str, ...], ...], ...] = (
    ((), (), ("from 10.0.0.1",), ("oif v1",), ("mark 3", "from 10.1.0.1"), ("from 10.0.0.99", "iif v0")),
    ((), (), ("from fd00::1",), ("oif v0",), ("mark 3",), ("from fd01::99", "iif v1")),
)

World = Counter[tuple[Any, ...]]


def ask_ip(words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-j", "-d", *words.split()], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = [one for one in json.loads(done.stdout or "[]") if one]
    return found


def see() -> World:
    """All routes, rules and addresses."""
    world = World()
    for family in (4, 6):
        world.update(name_route(family, one) for one in ask_ip(f"-{family} route show table all"))
        world.update(name_rule(family, one) for one in ask_ip(f"-{family} rule"))
    for link in ask_ip("addr show"):
        world.update(("address", link["ifname"], one["local"], one["prefixlen"]) for one in link["addr_info"])
    return world


def name_route(family: int, one: dict[str, Any]) -> tuple[Any, ...]:
    kind = one.get("type", "unicast")
    legs = one.get("nexthops") or ([one] if "dev" in one and kind != "blackhole" else [])
    hops = tuple((leg.get("gateway", ""), leg["dev"]) for leg in legs)
    table = str(one.get("table", "main"))
    protocol = {"114": "routed"}.get(str(one["protocol"]), str(one["protocol"]))
    return ("route", family, one["dst"], table, one.get("metric", 0), kind, protocol, one.get("prefsrc", ""), hops)


def name_rule(family: int, one: dict[str, Any]) -> tuple[Any, ...]:
    source = one.get("src", "all") + (f"/{one['srclen']}" if "srclen" in one else "")
    return ("rule", family, one["priority"], source, str(one.get("table", "")))


def name_step(step: dict[str, Any]) -> tuple[Any, ...]:
    """What a step is about, as ``see`` names it."""
    shown = step["ip"]
    if step["kind"] == "address":
        return ("address", shown["dev"], shown["local"], shown["prefixlen"])
    text = f"{step['before']} {step['after']}"
    family = 6 if ":" in text.split(" proto ", maxsplit=1)[0] else 4
    if step["kind"] == "rule":
        return ("rule", family, shown["priority"], shown.get("src", "all"), str(shown.get("table", "")))
    return name_route(family, shown)


def follow(world: World, plan: dict[str, Any]) -> World:
    """The world as it would be after all that this plan says."""
    world = World(world)
    for step in [*plan["kernel"], *plan["steps"], *plan["afterwards"]]:
        assert step["count"] == 1, step
        if step["kind"] == "link":
            continue
        name = name_step(step)
        if not step["after"]:
            world[name] -= 1
            continue
        if step["before"]:  # the same key with another content
            place = name[:5] if name[0] == "route" else name
            old = next(one for one in world if world[one] and one[: len(place)] == place and one[6:7] == name[6:7])
            world[old] -= 1
        world[name] += 1
    return +world


def choose_deed(seed: random.Random) -> tuple[str, tuple[str, ...]] | None:
    links = {link["ifname"]: link for link in ask_ip("addr show") if link["ifname"] in LINKS}
    addresses = [(one, name) for name, link in links.items() for one in link["addr_info"] if one["scope"] == "global"]
    if not links:
        return None
    if addresses and seed.random() < 0.4:
        one, name = seed.choice(addresses)
        return f"address:{one['local']}=gone", (f"addr del {one['local']}/{one['prefixlen']} dev {name}",)
    name = seed.choice(list(links))
    words = {"down": 4, "no-carrier": 2, "gone": 0.5} if "UP" in links[name]["flags"] else {"up": 4, "gone": 0.5}
    word = seed.choices(list(words), list(words.values()))[0]
    if word == "no-carrier" and "LOWER_UP" not in links[name]["flags"]:
        word = "up"
    return f"link:{name}={word}", tuple(line.format(name) for line in DEEDS[word])


def choose_packets(seed: random.Random) -> tuple[list[str], tuple[str, ...]]:
    """Some addresses, and what else is said of packets there: of what is there."""
    family = seed.choice((0, 1))
    there = {link["ifname"] for link in ask_ip("link show")}
    own = {one["local"] for link in ask_ip("addr show") for one in link["addr_info"]}
    flow = seed.choice(FLOWS[family])
    links = {word.split()[1] for word in flow if word.startswith(("iif", "oif"))}
    sources = {word.split()[1] for word in flow if word.startswith("from")}
    if not links <= there or not (sources <= own or any(word.startswith("iif") for word in flow)):
        flow = ()
    return seed.sample(ADDRESSES[family], 4), flow


def ask_way(address: str, flow: tuple[str, ...]) -> tuple[str, str, str]:
    """What the kernel does with the packet: "here", "sent" with link and gateway, or nothing."""
    command = ["ip", "-j", "route", "get", address, *" ".join(flow).split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shown = json.loads(done.stdout)[0] if not done.returncode and done.stdout.strip() else {}
    if not shown or shown.get("type") in {"blackhole", "unreachable", "prohibit"}:
        return "nothing", "", ""
    if shown.get("type", "unicast") != "unicast":
        return "here", "", ""
    return "sent", shown["dev"], shown.get("gateway", "")


def judge_source(way: dict[str, Any], flow: tuple[str, ...]) -> None:
    """Does it come from the address that was foretold?"""
    source = way["then"]["decision"]["source"]
    if source and not any(word.startswith("from") for word in flow):
        shown = ask_ip(f"route get {way['address']} {' '.join(flow)}")[0]
        assert shown.get("prefsrc", "0.0.0.0") == source, (way, shown)  # noqa: S104


def judge_way(way: dict[str, Any], flow: tuple[str, ...], before: tuple[str, str, str]) -> None:
    """Does the packet go as it was said?"""
    found = ask_way(way["address"], flow)
    if "lacks" in way:
        assert found[0] == "nothing" or ":" in way["address"]  # of IPv6 the kernel lets anybody's source pass
        return
    decisions = [way["then"]["decision"], *([way["then"]["otherwise"]] if "otherwise" in way["then"] else [])]
    said = {
        choice
        for decision in decisions
        for choice in (
            [("sent", hop["dev"], hop["gateway"]) for hop in decision["hops"]]
            if decision["outcome"] == "sent"
            else [("nothing" if decision["outcome"] in {"dropped", "lost"} else "here", "", "")]
        )
    }
    assert found in said, (way["address"], flow, found, way)
    if not way["differs"] and len(said) == 1:
        assert found == before, (way["address"], flow)


def states(daemon: Daemon) -> dict[str, str]:
    return {one["entry"]: one["state"] for one in daemon.status()["entries"]}


def is_at_rest(daemon: Daemon) -> bool:
    """Is nothing left to be done but what the kernel has refused?"""
    refused = {one for one, state in states(daemon).items() if state in {"waiting", "failed"}}
    return all(step["entry"] in refused for step in daemon.ask_json("plan")["steps"])


def walk(daemon: Daemon, seed: random.Random, steps: int) -> None:
    """A world, and things that happen in it, each of them foretold."""
    for name in LINKS:
        Path(f"/proc/sys/net/ipv6/conf/{name}p/disable_ipv6").write_text("1")
        Path(f"/proc/sys/net/ipv6/conf/{name}/keep_addr_on_down").write_text(str(seed.randint(0, 1)))
        Path(f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries").write_text(str(seed.randint(0, 1)))
    ip_batch("\n".join(one for one in STRANGERS if seed.random() < 0.6), is_forced=True)
    daemon.start("\n".join(one for one in FILES if seed.random() < 0.7))
    wait_until_usable()
    done: list[str] = []
    for _ in range(steps):
        deed = choose_deed(seed)
        if deed is None:
            return
        given, commands = deed
        done.append(given)
        wait_until(lambda: is_at_rest(daemon))
        before, former = see(), states(daemon)
        addresses, flow = choose_packets(seed)
        words = [part for word in flow for part in ("--" + word).split()]
        plan = daemon.ask_json("plan", "--if", given, "--why", ",".join(addresses), *words)
        ways = {way["address"]: ask_way(way["address"], flow) for way in plan["ways"]}
        assert list(ways) == addresses
        assert all(way["now"]["kernel"]["agrees"] is not False for way in plan["ways"])
        assert (see(), states(daemon)) == (before, former), "the plan changed something"
        said = follow(before, plan)
        for command in commands:
            ip(command)
        expect(said, done)
        wait_until_usable()
        after = former | {one["entry"]: one["after"] for one in plan["changes"]}
        try:
            wait_until(lambda after=after: states(daemon) == after)  # type: ignore[misc]
        except AssertionError:
            seen = states(daemon)
            differing = {one: (after[one], seen[one]) for one in seen if seen[one] != after[one]}
            raise AssertionError(f"{done}: entry, its state as was said, and as it is: {differing}") from None
        expect(said, done)
        for way in plan["ways"]:
            judge_way(way, flow, ways[way["address"]])
            if "then" in way:
                judge_source(way, flow)


def expect(said: World, done: list[str]) -> None:
    try:
        wait_until(lambda: see() == said)
    except AssertionError:
        seen = see()
        raise AssertionError(f"{done}: said but not there {said - seen}, there but not said {seen - said}") from None


@pytest.mark.parametrize("number", range(3))
def test_what_is_foretold_comes_true(daemon: Daemon, number: int) -> None:
    walk(daemon, random.Random(number), steps=3)  # noqa: S311  the same each time


@pytest.mark.long
@pytest.mark.timeout(600)  # each deed takes a few starts of a command
@pytest.mark.parametrize("number", range(100, 160))
def test_so_it_does_in_many_worlds(daemon: Daemon, number: int) -> None:
    walk(daemon, random.Random(number), steps=6)  # noqa: S311  the same each time


def test_what_the_kernel_goes_on_refusing_is_not_said_to_be_in_sync_then(daemon: Daemon) -> None:
    walk(daemon, random.Random(107), steps=5)  # noqa: S311  a route whose one leg has lost its network
