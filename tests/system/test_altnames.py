"""Interfaces by their altnames, with the daemon as a process; `ip -j` is the judge."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon

LONG = "enp0s31f6-of-the-board-in-the-rack-by-the-door"
FILE = f"""
[[route]]
name = "lan"
to = "10.9.0.0/16"
dev = "{LONG}"

[[address]]
name = "own"
address = "192.0.2.1/32"
dev = "{LONG}"

[[neighbour]]
name = "meter"
to = "10.0.0.5"
dev = "{LONG}"
lladdr = "02:00:00:00:00:05"

[[rule]]
name = "guests"
priority = 77
family = "ipv4"
iif = "{LONG}"
table = 9
"""
ALL = ["lan", "own", "meter", "guests"]


def name(link: str = "v0", altname: str = LONG) -> None:
    ip(f"link property add dev {link} altname {altname}")


def unname(link: str = "v0", altname: str = LONG) -> None:
    ip(f"link property del dev {link} altname {altname}")


def find_links() -> list[str]:
    """Of the route, the address, the neighbour and the rule, as far as they stand."""
    routes = [one["dev"] for one in ip_json("route show proto 114")]
    holders = [
        one["ifname"] for one in ip_json("addr show") if any(a["local"] == "192.0.2.1" for a in one["addr_info"])
    ]
    neighbours = [one["dev"] for one in ip_json("neigh show nud permanent") if one.get("protocol") == "114"]
    return [*routes, *holders, *neighbours, *(one["iif"] for one in ip_json("rule show") if "iif" in one)]


def states(daemon: Daemon) -> dict[str, str]:
    return {one["entry"].partition("/")[2]: one["state"] for one in daemon.status()["entries"]}


def test_an_altname_is_as_good_as_the_name_and_status_says_the_name(daemon: Daemon) -> None:
    name()
    daemon.start(FILE)
    assert find_links() == ["v0"] * 4
    assert states(daemon) == dict.fromkeys(ALL, "in-sync")
    shown = daemon.ask("status", "address/own").out
    assert ("dev v0" in shown, LONG in shown) == (True, False)
    assert daemon.ask_json("plan")["steps"] == []
    daemon.kill()
    daemon.start()
    assert daemon.records("repaired") == []


def test_what_names_it_waits_for_the_altname_and_comes_with_it(daemon: Daemon) -> None:
    daemon.start(FILE)
    assert find_links() == []
    assert states(daemon) == dict.fromkeys(ALL, "waiting")
    assert f"link {LONG} does not exist" in daemon.ask("status").out
    name()
    wait_until(lambda: find_links() == ["v0"] * 4)
    wait_until(lambda: states(daemon) == dict.fromkeys(ALL, "in-sync"))


def test_it_follows_an_altname_that_another_link_takes(daemon: Daemon) -> None:
    name()
    daemon.start(FILE)
    unname()
    wait_until(lambda: states(daemon)["lan"] == "waiting")
    name("v1")
    wait_until(lambda: find_links() == ["v1"] * 4)
    wait_until(lambda: states(daemon) == dict.fromkeys(ALL, "in-sync"))


def test_a_link_that_is_down_loses_its_altname_in_silence_to_one_that_is_up(daemon: Daemon) -> None:
    name()
    daemon.start(FILE)
    ip("link set v0 down")
    wait_until(lambda: states(daemon)["lan"] == "waiting")
    unname()
    name("v1")
    wait_until(lambda: find_links() == ["v1"] * 4)


def test_a_short_altname_in_a_rule_is_written_as_the_name_that_the_kernel_binds_anew(daemon: Daemon) -> None:
    """The kernel looks for an altname when a rule is added, and never again (attach_rules, net/core/fib_rules.c)."""
    daemon.start('[[rule]]\nname = "guests"\npriority = 77\nfamily = "ipv4"\noif = "lan0"\ntable = 9\n')
    assert [one["oif"] for one in ip_json("rule show") if "oif" in one] == ["lan0"]
    name(altname="lan0")
    wait_until(lambda: [one["oif"] for one in ip_json("rule show") if "oif" in one] == ["v0"])
    wait_until(lambda: states(daemon) == {"guests": "in-sync"})


def test_the_journal_says_why_an_address_goes_with_an_altname(daemon: Daemon) -> None:
    name(altname="lan0")
    daemon.start('[[address]]\nname = "own"\naddress = "192.0.2.1/32"\ndev = "lan0"\n')
    unname(altname="lan0")
    daemon.wait_for("", saying="192.0.2.1/32 dev v0 removed (address/own waits: link lan0 does not exist)")
    assert find_links() == []


def test_it_is_chosen_by_altname_where_no_link_is_called_so(daemon: Daemon) -> None:
    name()
    chooser = (
        '[[interface]]\nname = "x"\nmatch = [ {{ {} }} ]\n[[route]]\nname = "lan"\nto = "10.9.0.0/16"\ndev = "@x"\n'
    )
    daemon.start(chooser.format(f'name = "{LONG}"'))
    assert [one["dev"] for one in ip_json("route show proto 114")] == ["v0"]
    name("v0", "v1-of-old")
    daemon.apply(chooser.format('regex = "v1.*d|v1"'))
    assert [one["dev"] for one in ip_json("route show proto 114")] == ["v1"]
    daemon.apply(chooser.format('regex = "v1.*d"'))
    assert [one["dev"] for one in ip_json("route show proto 114")] == ["v0"]
    said = daemon.ask("select", "@x").out
    assert 'its altname v1-of-old fits "v1.*d"' in said


def test_why_plan_and_completion_take_it(daemon: Daemon) -> None:
    name()
    daemon.start(FILE)
    assert (
        daemon.ask_json("why", "10.9.0.1", "--oif", LONG)["decision"]
        == daemon.ask_json("why", "10.9.0.1", "--oif", "v0")["decision"]
    )
    assert daemon.ask("why", "10.9.0.1", "--oif", "no-such").code
    supposed = [daemon.ask_json("plan", "--if", f"link:{name_}=down") for name_ in (LONG, "v0")]
    by_altname, by_name = ({**one, "case": "", "assumed": []} for one in supposed)
    assert by_altname == by_name
    assert by_name["kernel"] != []
    assert daemon.ask("plan", "--if", "link:no-such=down").code
    assert "does not exist" not in daemon.ask("check", "--strict").err
    unname()
    assert f"link {LONG} does not exist" in daemon.ask("check", "--strict").err
    name()
    assert {LONG, "v0"} <= set(daemon.ask("completion", "--offer", "link").out.split())
    assert f"link:{LONG}=down" in daemon.ask("completion", "--offer", "assumption").out


def test_checks_vips_next_hops_and_references_take_it(daemon: Daemon) -> None:
    name()
    for end in ("v0", "v0p"):  # each answers for what it has itself, as two hosts do
        Path(f"/proc/sys/net/ipv4/conf/{end}/arp_ignore").write_text("1")
    ip("addr add 10.0.0.9/32 dev v0p")
    daemon.start(f"""
[[check]]
name = "far"
type = "arp"
target = "10.0.0.9"
dev = "{LONG}"
every = "300ms"

[[interface]]
name = "lan"
match = [ {{ name = "{LONG}" }} ]

[[vip]]
name = "web"
address = "192.0.2.80/32"
dev = "{LONG}"

[[nexthop]]
name = "way"
id = 7
via = "10.0.0.9"
dev = "{LONG}"

[[route]]
name = "far"
to = "10.9.0.0/16"
nhid = 7
requires = "@far"
when_all_down = "withdraw"

[[rule]]
name = "own"
priority = 77
family = "ipv4"
from = "@lan"
table = 9
""")
    wait_until(lambda: set(states(daemon).values()) == {"in-sync"})
    assert [one["nhid"] for one in ip_json("route show proto 114")] == [7]
    assert [one["dev"] for one in ip_json("nexthop show id 7")] == ["v0"]
    assert [one["src"] for one in ip_json("rule show priority 77")] == ["10.0.0.1"]
    ip("addr del 10.0.0.9/32 dev v0p")
    wait_until(lambda: states(daemon)["far"] == "withheld")
