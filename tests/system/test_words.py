"""Words that are attributes of their own: put, shown by `ip`, imported as they were written, repaired as they drift."""

from __future__ import annotations

from collections.abc import Callable
from signal import SIGCONT, SIGSTOP
from typing import Any, NamedTuple

from routed.kernel.kernel import read_version
from tests.kernel.netns import ip, ip_json, wait_until
from tests.kernel.raw_rules import read_rules
from tests.system.daemon import Daemon

V4, V6 = 2, 10


class Case(NamedTuple):
    """One word of an object of its own: how it is written, how it stands, and by which commands it is made another.

    In braces stand its number, its prefix and its priority.
    """

    text: str
    judge: Callable[[dict[str, Any]], Any]  # of what stands
    stands: Any
    drift: tuple[str, ...]
    family: int = V4
    since: tuple[int, int] = (0, 0)  # of Linux


def of_route(*keys: str) -> Callable[[dict[str, Any]], Any]:
    return lambda route: tuple(route.get(key) for key in keys) if len(keys) > 1 else route.get(keys[0])


def of_metric(word: str) -> Callable[[dict[str, Any]], Any]:
    return lambda route: route.get("metrics", [{}])[0].get(word)


def of_rule(*keys: str) -> Callable[[dict[str, Any]], Any]:
    return lambda rule: tuple(rule.get(f"FRA_{key}") for key in keys)


ROUTE = '[[route]]\nto = "{to}"\nvia = "10.0.0.2"\n'
ROUTE6 = '[[route]]\nto = "{to6}"\nvia = "fd00::2"\n'
RULE = '[[rule]]\npriority = {priority}\nfamily = "ipv4"\ntable = 100\n'
RULE6 = RULE.replace("ipv4", "ipv6")
PLAIN = ("route replace {to} via 10.0.0.2 proto 114",)
PLAIN6 = ("-6 route replace {to6} via fd00::2 metric 1024 proto 114",)
DELETED6 = ("-6 route del {to6} from 2001:db8:a::/48",)
PLAIN_RULE = ("rule del pref {priority}", "rule add pref {priority} table 100 proto 114")
PLAIN_RULE6 = tuple(f"-6 {one}" for one in PLAIN_RULE)

WORDS = {
    "rto_min": Case(ROUTE + 'rto_min = "200ms"', of_metric("rto_min"), 200, PLAIN),
    "rtt": Case(ROUTE + 'rtt = "50ms"', of_metric("rtt"), 50, PLAIN),
    "rttvar": Case(ROUTE + 'rttvar = "1.25ms"', of_metric("rttvar"), 1, PLAIN),
    "features": Case(ROUTE + 'features = ["ecn"]', of_route("metrics"), [{"ecn": None}], PLAIN),
    "features, IPv6": Case(ROUTE6 + 'features = ["ecn"]', of_route("metrics"), [{"ecn": None}], PLAIN6, V6),
    "realms": Case(ROUTE + 'realms = "1/2"', of_route("flow"), {"from": "1", "to": "2"}, PLAIN),
    "realms of the destination": Case(ROUTE + "realms = 7", of_route("flow"), {"to": "7"}, PLAIN),
    "realms of a hop": Case(
        '[[route]]\nto = "{to}"\n'
        'hops = [{{ via = "10.0.0.2", realms = 5 }}, {{ via = "10.1.0.2", realms = "6/7" }}]',
        lambda route: [hop.get("flow") for hop in route["nexthops"]],
        [{"to": "5"}, {"from": "6", "to": "7"}],
        ("route replace {to} proto 114 nexthop via 10.0.0.2 nexthop via 10.1.0.2 realms 6/7",),
    ),
    "pref": Case(ROUTE6 + 'pref = "high"', of_route("pref"), "high", PLAIN6, V6),
    "from": Case(ROUTE6 + 'from = "2001:db8:a::/48"', of_route("from"), "2001:db8:a::/48", DELETED6, V6),
    "broadcast": Case(
        '[[route]]\nto = "{to}"\ntype = "broadcast"\ndev = "v0"\ntable = "local"',
        of_route("type", "table", "scope"), ("3", "255", "253"), ("route del broadcast {to} table local",),
    ),
    "anycast": Case(
        '[[route]]\nto = "{to}"\ntype = "anycast"\ndev = "v0"',
        of_route("type", "scope"), ("4", "253"), ("route del anycast {to} table main",),
    ),
    "anycast, IPv6": Case(
        '[[route]]\nto = "{to6}"\ntype = "anycast"\ndev = "v0"\ntable = "local"',
        of_route("type", "table"), ("4", "255"), ("-6 route del anycast {to6} table local",), V6,
    ),
    "multicast": Case(
        '[[route]]\nto = "{to}"\ntype = "multicast"\ndev = "v0"',
        of_route("type", "scope"), ("5", "253"), ("route del multicast {to}",),
    ),
    "table local": Case(
        '[[route]]\nto = "{to}"\ntype = "local"\ndev = "lo"\ntable = "local"',
        of_route("type", "table", "scope"), ("2", "255", "254"), ("route del local {to} table local",),
    ),
    "src in a local prefix": Case(
        ROUTE + 'src = "198.18.0.7"\n[[route]]\nto = "198.18.0.0/24"\ntype = "local"\ndev = "lo"\ntable = "local"',
        of_route("prefsrc"), "198.18.0.7", PLAIN,
    ),
    "src in a network of lo": Case(ROUTE + 'src = "127.1.1.1"', of_route("prefsrc"), "127.1.1.1", PLAIN),
    "dscp": Case(RULE + "dscp = 10", of_rule("DSCP"), (10,), PLAIN_RULE, V4, (6, 13)),
    "dscp 0": Case(RULE + "dscp = 0", of_rule("DSCP"), (0,), PLAIN_RULE, V4, (6, 13)),
    "dscp by name": Case(RULE + 'dscp = "AF11"', of_rule("DSCP"), (10,), PLAIN_RULE, V4, (6, 13)),
    "dscp with a mask": Case(
        RULE + 'dscp = "8/0x38"', of_rule("DSCP", "DSCP_MASK"), (8, 0x38), PLAIN_RULE, V4, (6, 16)
    ),
    "dscp, IPv6": Case(RULE6 + "dscp = 46", of_rule("DSCP"), (46,), PLAIN_RULE6, V6, (6, 13)),
    "flowlabel": Case(
        RULE6 + 'flowlabel = "0x12345"',
        of_rule("FLOWLABEL", "FLOWLABEL_MASK"), (0x12345, 0xFFFFF), PLAIN_RULE6, V6, (6, 14),
    ),
    "flowlabel with a mask": Case(
        RULE6 + 'flowlabel = "0x300/0xff00"',
        of_rule("FLOWLABEL", "FLOWLABEL_MASK"), (0x300, 0xFF00), PLAIN_RULE6, V6, (6, 14),
    ),
    "sport with a mask": Case(
        RULE + 'sport = "80/0xfff0"', of_rule("SPORT_RANGE", "SPORT_MASK"), ("80:80", 0xFFF0), PLAIN_RULE, V4, (6, 15)
    ),
    "dport with a mask": Case(
        RULE6 + 'ipproto = "udp"\ndport = "0x100/0xff00"', of_rule("DPORT_MASK"), (0xFF00,), PLAIN_RULE6, V6, (6, 15)
    ),
    "a table beside goto": Case(
        RULE + "goto = 32766", of_rule("GOTO", "TABLE"), (32766, 100), ("rule del pref {priority}",)
    ),
}  # fmt: skip
WORDS = {word: case for word, case in WORDS.items() if case.since <= read_version()}
PLACES = {
    word: {"to": f"192.0.{number}.0/24", "to6": f"2001:db8:{number:x}::/48", "priority": 1000 + number}
    for number, word in enumerate(WORDS)
}


ADDRESSES = """
[[address]]
address = "198.51.100.1/24"
dev = "v0"
label = "web"
[[vip]]
address = "198.51.100.80"
dev = "v0"
label = "vip"
scope = "link"
broadcast = "198.51.100.255"
"""


def judge_all() -> dict[str, Any]:
    """Each word as it stands."""
    stands: dict[Any, list[dict[str, Any]]] = {}
    for family, option in ((V4, "-4"), (V6, "-6")):
        for route in ip_json(f"{option} route show proto 114 table all"):
            stands.setdefault(route["dst"], []).append(route)
        for rule in read_rules(family):
            stands.setdefault(rule["FRA_PRIORITY"], []).append(rule)

    def judge(word: str, case: Case) -> Any:
        place = PLACES[word]["priority" if "[[rule]]" in case.text else "to6" if case.family == V6 else "to"]
        found = stands.get(place, [])
        return case.judge(found[0]) if len(found) == 1 else f"{len(found)} of them"

    return {word: judge(word, case) for word, case in WORDS.items()}


def test_words_are_put_imported_as_they_were_written_and_repaired(daemon: Daemon) -> None:
    wanted = {word: case.stands for word, case in WORDS.items()}
    daemon.start("\n".join(case.text.format(**PLACES[word]) for word, case in WORDS.items()), daemon='resync = "1s"')
    assert judge_all() == wanted

    imported = daemon.ask("import")
    assert (imported.code, "has no word for" in imported.err) == (0, False), imported
    daemon.config.write_text(imported.out)
    assert [step for step in daemon.ask_json("plan")["steps"] if step["kind"] in {"route", "rule"}] == [], imported.out

    daemon.signal(SIGSTOP)
    for word, case in WORDS.items():
        for command in case.drift:
            ip(command.format(**PLACES[word]))
    drifted = judge_all()
    daemon.signal(SIGCONT)
    assert [word for word in WORDS if drifted[word] == wanted[word]] == []
    wait_until(lambda: judge_all() == wanted, within=20.0)


def test_labels_of_any_text_and_how_a_vip_stands_are_put_imported_and_repaired(daemon: Daemon) -> None:
    def judge() -> list[tuple[Any, ...]]:
        (link,) = ip_json("-4 address show dev v0")
        found = [
            (one["local"], one["label"], one["scope"], one.get("broadcast"))
            for one in link["addr_info"]
            if one["local"].startswith("198.")
        ]
        return sorted(found)  # the kernel shows those of scope link first

    wanted = [("198.51.100.1", "web", "0", None), ("198.51.100.80", "vip", "253", "198.51.100.255")]
    daemon.start(ADDRESSES, daemon='resync = "1s"')
    wait_until(lambda: len(judge()) == len(wanted), within=20.0)  # a VIP comes behind an address of the host's own
    assert judge() == wanted
    assert 'label = "web"' in daemon.ask("import").out
    daemon.signal(SIGSTOP)
    for address in ("198.51.100.1/24", "198.51.100.80/32"):
        ip(f"address del {address} dev v0")
        ip(f"address add {address} dev v0")
    assert judge() != wanted
    daemon.signal(SIGCONT)
    wait_until(lambda: judge() == wanted, within=20.0)
