"""Round trips: what a host has is imported, checked, planned and applied, and is what it was but for its mark.

Each host is a list of `ip` commands on top of two veth pairs; `ip -j` is the judge.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from routed.cli import main
from tests.kernel.netns import ip, veth, wait_until, wait_until_usable
from tests.system.daemon import Answer
from tests.system.host import Thing, everything

MANY: Final = tuple(f"route add 203.0.{number}.0/24 via 10.0.0.2 proto static" for number in range(20))
HANDS: Final = ("0", "3", "4", "114", "0x72")  # unspec, boot, static, and ours; newer ip has it of addresses too


class Host(NamedTuple):
    """How it comes to its state, and what an import says that it leaves out."""

    commands: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    imported: str = ""  # words that stand in the file


HOSTS: Final[dict[str, Host]] = {
    "nothing but its addresses": Host((), imported='address = "10.0.0.1/24"'),
    "a default route": Host(("route add default via 10.0.0.2",), imported='name = "default"'),
    "a default route of each family": Host(
        ("route add default via 10.0.0.2 proto static", "-6 route add default via fd00::2"), imported='via = "fd00::2"'
    ),
    "default routes with metrics": Host(
        ("route add default via 10.0.0.2 metric 100", "route add default via 10.1.0.2 metric 200"),
        imported='name = "default-2"',
    ),
    "IPv6 only": Host(
        (
            "addr flush dev v0 scope global",
            "-6 addr add fd00::1/64 dev v0 nodad",
            "-6 route add default via fd00::2 dev v0 metric 20",
            "-6 rule add priority 1100 from fd01::/64 lookup 200",
            "-6 route add default via fd01::2 dev v1 table 200",
        )
    ),
    "metrics of a route": Host(
        ("route add 192.0.2.0/24 via 10.0.0.2 mtu lock 1400 advmss 1360 initcwnd 20 initrwnd 20 window 65535",),
        imported="initrwnd = 20",
    ),
    "metrics that need a lock or a word": Host(
        (
            "route add 192.0.2.0/24 via 10.0.0.2 quickack 1 hoplimit 9 reordering 5 ssthresh lock 9 cwnd lock 7",
            "route add 192.0.3.0/24 via 10.0.0.2 congctl reno",
        ),
        imported='congctl = "reno"',
    ),
    "a hop limit in IPv6": Host(("-6 route add 2001:db8::/48 via fd00::2 hoplimit 9 mtu 1300",)),
    "a preferred source": Host(
        ("addr add 10.0.0.7/24 dev v0", "route add 192.0.2.0/24 via 10.0.0.2 src 10.0.0.7"), imported='src = "10.0.0.7"'
    ),
    "policy routing": Host(
        (
            "route add default via 10.1.0.2 table 120",
            "route add 10.1.0.0/24 dev v1 scope link table 120",
            "rule add priority 1200 from 10.1.0.0/24 lookup 120",
        ),
        imported='on_conflict = "replace"',
    ),
    "tables beyond 255": Host(
        ("route add 192.0.2.0/24 via 10.0.0.2 table 70000", "rule add priority 9 lookup 70000"),
        imported="table = 70000",
    ),
    "weights": Host(
        ("route add 192.0.2.0/24 proto static nexthop via 10.0.0.2 weight 2 nexthop via 10.1.0.2 weight 3",),
        imported="weight = 3",
    ),
    "ECMP in IPv6": Host(
        (
            "-6 route add 2001:db8::/48 nexthop via fd00::2 nexthop via fd01::2",
            "-6 route add default nexthop via fd00::2 nexthop via fd01::2",
        )
    ),
    "legs without gateways": Host(("route add 192.0.2.0/24 nexthop dev v0 nexthop dev v1",)),
    "routes that drop": Host(
        tuple(
            f"route add {kind} 192.0.{number}.0/24 table 90"
            for number, kind in enumerate(("blackhole", "unreachable", "prohibit", "throw"))
        ),
        imported='name = "blackhole-192.0.0.0-24-90"',
    ),
    "routes that drop in IPv6": Host(
        tuple(
            f"-6 route add {kind} 2001:db8:{number}::/48 metric 5"
            for number, kind in enumerate(("blackhole", "unreachable", "prohibit", "throw"))
        )
    ),
    "a last resort": Host(("route add unreachable default metric 4278198272",), imported="metric = 4278198272"),
    "a VIP on lo": Host(
        ("addr add 192.0.2.80/32 dev lo", "-6 addr add 2001:db8::80/128 dev lo"),
        imported='address = "2001:db8::80/128"',
    ),
    "a bridge that Docker made": Host(
        ("addr add 172.18.0.1/16 dev br-0123456789ab", "route add 192.0.2.0/24 via 172.18.0.2"),
        ("it stands on br-0123456789ab, which Docker makes",),
    ),
    "the words of DHCP": Host(
        (
            "addr add 10.0.0.77/24 dev v0 valid_lft 3600 preferred_lft 3600",
            "route add default via 10.0.0.2 proto dhcp metric 100",
            "route add 192.0.2.0/24 via 10.0.0.2 proto static",
        ),
        ("DHCP made it (proto dhcp)", "it has a lifetime"),
    ),
    "router advertisements": Host(
        ("-6 route add default via fd00::2 proto ra expires 1800", "-6 route add 2001:db8::/64 dev v0 proto ra"),
        ("router advertisements made it (proto ra)",),
    ),
    "routing daemons": Host(
        tuple(
            f"route add 198.51.{number}.0/24 via 10.0.0.2 proto {protocol}"
            for number, protocol in enumerate(("bird", "bgp", "zebra", "keepalived", "80"))
        ),
        (
            "route 198.51.0.0/24: a program keeps it under this number (proto bird)",
            "(proto bgp)", "(proto zebra)", "(proto keepalived)", "(proto 80)",
        ),
    ),
    "a rule of a daemon": Host(
        ("rule add priority 77 from 10.0.0.0/24 lookup 77 proto keepalived",), ("rule 77: a program keeps it",)
    ),
    "marks": Host(
        (
            "rule add priority 100 fwmark 0x1/0xff lookup 100",
            "rule add priority 101 fwmark 7 lookup 100",
            "-6 rule add priority 100 fwmark 0x1/0xff lookup 100",
        ),
        imported='fwmark = "0x1/0xff"',
    ),
    "interfaces of rules": Host(
        (
            "rule add priority 100 iif v0 lookup 100",
            "rule add priority 101 oif v1 lookup 100",
            "rule add priority 102 iif lo lookup 100",
            "rule add priority 103 iif gone0 lookup 100",
        ),
        imported='iif = "gone0"',
    ),
    "a goto": Host(("rule add priority 100 from 10.0.0.0/24 goto 200", "rule add priority 200 lookup 100")),
    "ports": Host(
        (
            "rule add priority 100 ipproto tcp dport 443 lookup 100",
            "rule add priority 101 ipproto udp sport 1000-2000 lookup 100",
            "-6 rule add priority 100 ipproto sctp dport 5000-5010 lookup 100",
        ),
        imported='sport = "1000-2000"',
    ),
    "users": Host(("rule add priority 100 uidrange 1000-1999 lookup 100",), imported='uidrange = "1000-1999"'),
    "types of service": Host(
        ("rule add priority 100 tos 0x10 lookup 100", "route add 192.0.2.0/24 tos 0x10 via 10.0.0.2"),
        imported='tos = "0x10"',
    ),
    "what a rule ignores": Host(
        (
            "rule add priority 100 lookup main suppress_prefixlength 0",
            "rule add priority 101 lookup 100 suppress_ifgroup 3",
        )
    ),
    "a rule turned round": Host(("rule add priority 100 not from 10.0.0.0/8 lookup 100",), imported="not = true"),
    "rules that drop": Host(
        (
            "rule add priority 100 from 192.0.2.0/24 blackhole",
            "rule add priority 101 from 198.51.100.0/24 unreachable",
            "rule add priority 102 to 203.0.113.0/24 prohibit",
        )
    ),
    "rules of one priority": Host(
        tuple(f"rule add priority 100 from 10.9.{number}.0/24 lookup {100 + number}" for number in range(4))
    ),
    "a rule that says less before one that says more": Host(
        ("rule add priority 100 lookup 100", "rule add priority 100 from 10.9.0.0/16 lookup 100")
    ),
    "a rule for VRFs": Host(("rule add priority 1000 l3mdev",), imported="l3mdev = true"),
    "a gateway on no network": Host(
        (
            "route add 192.0.2.0/24 via 192.0.2.254 dev v0 onlink",
            "-6 route add 2001:db8::/48 via fe80::99 dev v0 onlink",
        ),
        imported="onlink = true",
    ),
    "IPv4 via IPv6": Host(("route add 192.0.2.0/24 via inet6 fd00::2 dev v0",)),
    "scopes": Host(
        (
            "route add 192.0.2.0/24 dev v0 scope global",
            "route add 192.0.3.0/24 via 10.0.0.2 scope site",
            "route add 192.0.4.0/24 dev v0 scope host",
        ),
        imported='scope = "site"',
    ),
    "local routes of a table": Host(("route add local 192.0.2.0/24 dev lo table 100",), imported='type = "local"'),
    "somebody's own in table local": Host(
        ("route add local 192.0.2.0/24 dev lo table local proto static",), imported='table = "local"'
    ),
    "multicast": Host(("route add multicast 239.0.0.0/8 dev v0",)),
    "a far end": Host(("addr add 10.9.0.1 peer 10.9.0.2/32 dev v0",), imported='peer = "10.9.0.2"'),
    "labels and broadcasts": Host(
        (
            "addr add 10.9.0.1/24 brd + dev v0 label v0:a",
            "addr add 10.9.2.2/24 dev v0 scope link",
            "addr add 10.9.1.1/24 brd 10.9.1.77 dev v0",
        ),
        imported='label = "v0:a"',
    ),
    "addresses without a route": Host(
        (
            "addr add 10.9.0.1/24 dev v0 noprefixroute metric 5",
            "-6 addr add 2001:db8::1/64 dev v0 nodad noprefixroute",
            "-6 addr add 2001:db8::2/64 dev v0 nodad preferred_lft 0",
        ),
        imported="preferred_lft = 0",
    ),
    "a link-local address of one's own": Host(
        ("-6 addr add fe80::1/64 dev v0 nodad", "-6 route add 2001:db8::/48 via fe80::2 dev v0"),
        imported='address = "fe80::1/64"',
    ),
    "many prefixes of one shape": Host(MANY, imported="20-prefixes-10.0.0.2"),
    "sources of IPv6 routes": Host(
        ("-6 route add 2001:db8::/48 from fd00::/64 via fd00::2",), imported='from = "fd00::/64"'
    ),
    "realms": Host(("route add 192.0.2.0/24 via 10.0.0.2 realms 5",)),
    "a timeout of TCP": Host(("route add 192.0.2.0/24 via 10.0.0.2 rto_min 300",)),
    "next hop objects": Host(
        ("nexthop add id 1 via 10.0.0.2 dev v0", "route add 192.0.2.0/24 nhid 1"), imported="nhid = 1"
    ),
    "encapsulations": Host(
        (
            "route add 192.0.2.0/24 encap ip id 7 dst 10.0.0.9 via 10.0.0.2",
            "-6 route add 2001:db8::/48 encap seg6 mode inline segs fd00::a,fd00::b via fd00::2",
            "-6 route add 2001:db8:1::1/128 encap seg6local action End.DX6 nh6 fd00::2 dev v0",
            "nexthop add id 7 encap ip6 id 7 dst fd00::9 via 10.0.0.2 dev v0",
        ),
        imported='encap = { type = "seg6local", action = "End.DX6", nh6 = "fd00::2" }',
    ),
    "an encapsulation without a word": Host(
        ("-6 route add 2001:db8::1/128 encap seg6local action End flavors psp dev v0",),
        ("it carries encap seg6local, which the file has no word for",),
    ),
    "a route that goes by itself": Host(
        ("-6 route add 2001:db8::/48 via fd00::2 expires 900",), ("it carries expires",)
    ),
}  # fmt: skip


class Operator:
    """Gives commands in this process: hundreds of them would take minutes to start."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "routed.toml"
        self._options = [f"--config={self.config}", f"--state-dir={folder}/state", f"--runtime-dir={folder}/run"]

    def ask(self, *words: str) -> Answer:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            code = main([*self._options, *words])
        return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture
def operator(network: None, tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def plain(things: list[Thing]) -> list[Thing]:
    """Without the mark of what people write, and what `ip -d` says again of next hops; what had none has one after."""
    by_hand = {("protocol", one): "by hand" for one in HANDS}
    each = ({"protocol": "0"} | thing for thing in things)
    return [
        {key: by_hand.get((key, str(value)), value) for key, value in one.items() if key != "nh_info"} for one in each
    ]


def look() -> dict[str, list[Thing]]:
    found = {kind: plain(things) for kind, things in everything("").items()}
    return {kind: sorted(things, key=str) for kind, things in found.items()}


def put(commands: tuple[str, ...]) -> None:
    """What the kernel of this machine has no module for cannot be tried here."""
    for command in commands:
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if any(words in done.stderr for words in ("not supported", "CONFIG_", "Unknown device type")):
            pytest.skip(f"ip {command}: {done.stderr.strip()}")
        assert done.returncode == 0, f"ip {command}: {done.stderr}"


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_what_is_imported_is_checked_planned_and_applied_and_changes_nothing_but_the_mark(
    operator: Operator, host: Host
) -> None:
    if any("br-" in command for command in host.commands):
        veth("br-0123456789ab", peer="eth0p")
    put(host.commands)
    wait_until_usable()
    before = look()
    imported = operator.ask("import")
    assert imported.code == 0, imported.err
    operator.config.write_text(imported.out)
    assert host.imported in imported.out
    for words in host.left_out:
        assert words in imported.err
    # what the kernel made is one line, and every other one was foreseen
    others = [line for line in imported.err.splitlines() if "the kernel made it" not in line]
    assert all(any(words in line for words in host.left_out) for line in others), imported.err

    assert operator.ask("check").code == 0
    plan: dict[str, Any] = json.loads(operator.ask("--json", "plan", "--exit-code").out)
    assert ({step["symbol"] for step in plan["steps"]}, plan["refusals"], plan["waiting"]) == ({"="}, [], [])
    assert "Nothing to do: " in operator.ask("plan").out
    done = operator.ask("apply", "--direct")
    assert done.code == 0, done.err
    wait_until(lambda: look() == before)  # an IPv6 address brings its routes a little later
    assert operator.ask("plan").out == "Nothing to do: the kernel is as the files say.\n"


@pytest.mark.parametrize("command", ["-json", "-d -json", "", "-d", "-o"])
def test_what_ip_prints_is_imported_as_what_the_kernel_holds(operator: Operator, tmp_path: Path, command: str) -> None:
    put(
        (
            "route add default via 10.0.0.2 metric 50",
            "route add 192.0.2.0/24 via 10.0.0.2 mtu lock 1400 advmss 1360 src 10.0.0.1 proto static",
            "route add 192.0.3.0/24 proto static nexthop via 10.0.0.2 weight 2 nexthop via 10.1.0.2 weight 3",
            "route add blackhole 192.0.4.0/24",
            "route add 192.0.5.0/24 dev v1 table 77 proto static",
            "-6 route add 2001:db8::/48 via fd00::2 proto static",
            "-6 route add 2001:db8:1::/48 nexthop via fd00::2 nexthop via fd01::2",
            "-6 route add unreachable 2001:db8:2::/48",
            "rule add priority 900 from 10.99.0.0/16 fwmark 0x1/0xff lookup 77",
            "rule add priority 901 not from 10.98.0.0/16 iif v0 ipproto tcp dport 80-90 uidrange 7-9 lookup 77",
            "rule add priority 902 from 10.97.0.0/16 realms 3/4 lookup 77",
            "rule add priority 903 from 10.96.0.0/16 realms 5 unreachable",
            "route add 192.0.6.0/24 via 10.0.0.2 realms 1/2 rtt 2s rttvar 1500ms rto_min 20ms features ecn quickack 1",
            "route add 192.0.7.0/24 proto static nexthop via 10.0.0.2 realms 5 weight 2 nexthop via 10.1.0.2",
            "-6 route add 2001:db8:3::/48 from 2001:db8:4::/48 via fd00::2 pref high",
            "-6 route add default from 2001:db8:4::/48 via fd00::2 pref low hoplimit 9",
            "nexthop add id 7 via 10.0.0.2 dev v0",
            "nexthop add id 8 via 10.1.0.2 dev v1 onlink",
            "nexthop add id 9 group 7,2/8 type resilient buckets 8 idle_timer 10",
            "nexthop add id 10 blackhole",
            "-6 nexthop add id 11 via fd00::2 dev v0",
            "route add 192.0.8.0/24 nhid 7",
            "route add 192.0.9.0/24 nhid 9",
            "neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev v0 nud permanent",
            "-6 neigh add fd00::9 lladdr 02:00:00:00:00:09 dev v0 nud permanent router",
            "neigh add proxy 10.0.0.6 dev v0",
            "addr add 10.9.0.1/24 brd + dev v0 label v0:a noprefixroute metric 7",
            "addr add 10.9.1.1 peer 10.9.1.2/32 dev v0",
            "-6 addr add 2001:db8:9::1/64 dev v1 nodad preferred_lft 0",
            "-6 addr add 2001:db8:9::2/64 dev v1 nodad home mngtmpaddr",
        )
    )
    shown = ("route show table all", "-6 route show table all", "rule show", "-6 rule show", "nexthop show",
             "neigh show", "neigh show proxy", "addr show")  # fmt: skip
    files = [tmp_path / str(number) for number in range(len(shown))]
    for file, words in zip(files, shown, strict=True):
        file.write_text(ip(f"{command} {words}"))
    printed = operator.ask("import", *(f"--from={file}" for file in files))
    assert printed.code == 0, printed.err
    held = operator.ask("import").out
    if "json" in command:  # it does not tell which metrics are locked
        assert "# ip -json does not tell which metrics are locked\n" in printed.out
        held = held.replace('lock = [\n    "mtu",\n]\n', "")
    assert made(printed.out) == made(held)


def made(document: str) -> list[dict[str, Any]]:
    """All that a file has, whatever it is called, in an order of its own."""
    tables = tomllib.loads(document)
    every = [one for some in tables.values() if isinstance(some, list) for one in some]
    plain_ = [{key: item for key, item in one.items() if key not in {"name", "on_conflict"}} for one in every]
    for one in plain_:
        for leg in one.get("hops", ()):
            leg.setdefault("weight", 1)
        if one.get("type") == "unreachable":  # `ip` shows the default metric of IPv6, and it may be left out
            one.pop("metric", None)
    return sorted(plain_, key=str)


def test_what_ip_route_save_wrote_is_imported(operator: Operator, tmp_path: Path) -> None:
    put(("route add 192.0.2.0/24 via 10.0.0.2 mtu 1400 proto static", "route add default via 10.1.0.2"))
    saved = tmp_path / "saved"
    with saved.open("wb") as file:
        subprocess.run(["ip", "route", "save", "table", "main"], check=True, stdout=file)
    ip("route del default")
    answer = operator.ask("import", f"--from={saved}")
    assert answer.code == 0, answer.err
    assert [(one["to"], one["dev"]) for one in tomllib.loads(answer.out)["route"]] == [
        ("default", "v1"), ("192.0.2.0/24", "v0")
    ]  # fmt: skip


def test_what_a_program_keeps_is_taken_where_its_number_is_named(operator: Operator) -> None:
    ip("route add 192.0.2.0/24 via 10.0.0.2 proto bird")
    answer = operator.ask("import", "--protocol", "12")
    assert 'to = "192.0.2.0/24"' in answer.out
    assert "proto bird" not in answer.err


def test_a_folder_is_read_with_all_that_is_below_it(operator: Operator, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    (folder / "interfaces.d").mkdir(parents=True)
    (folder / "interfaces").write_text("iface eth0 inet static\n address 192.0.2.1/24\n")
    (folder / "interfaces.d" / "more").write_text("iface eth1 inet static\n address 192.0.3.1/24\n")
    (folder / "notes").write_text("hello\n")
    answer = operator.ask("import", f"--from={folder}")
    assert [one["dev"] for one in tomllib.loads(answer.out)["address"]] == ["eth0", "eth1"]
    assert answer.err.startswith(f"routed: left out: {folder}/notes: its format is not known: say --format netplan or ")


def test_a_file_that_is_not_there_is_an_error(operator: Operator) -> None:
    answer = operator.ask("import", "--from=/nowhere")
    assert (answer.code, answer.out, answer.err) == (1, "", "routed: /nowhere: No such file or directory\n")


def test_a_tunnel_without_a_far_end_is_imported(operator: Operator) -> None:
    put(("link add t0 type ipip local 10.0.0.1",))
    ip("link set t0 up")
    assert 'dev = "t0"' in operator.ask("import").out


def test_verbose_names_what_the_kernel_made_and_quiet_says_nothing(operator: Operator) -> None:
    said = operator.ask("-v", "import").err.splitlines()
    assert "routed: left out: route 10.0.0.0/24: the kernel made it by itself" in said
    assert operator.ask("-q", "import").err == ""
