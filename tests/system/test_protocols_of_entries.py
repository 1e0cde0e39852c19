"""`protocol` of one entry: further numbers, each as wholly ours as `[daemon] protocol`. `ip` is the judge."""

from __future__ import annotations

import json
import random
import socket
import struct
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from routed.daemon.lock import AlreadyRunningError, acquire
from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import routes, rules
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, WORLD, blackholes, prefixes

FURTHER = "protocols = [200, 201]"


def entry(kind: str, text: str, protocol: int | None = None) -> str:
    own = "" if protocol is None else f"protocol = {protocol}\n"
    return f'[[{kind}]]\nname = "it"\n{text}\n{own}'


EACH_KIND = {
    "route": 'to = "198.51.100.0/24"\nvia = "10.0.0.2"',
    "on-link": 'to = "198.51.100.0/24"\ndev = "v0"',
    "blackhole": 'to = "198.51.100.0/24"\ntype = "blackhole"',
    "multipath": 'to = "198.51.100.0/24"\nhops = [ { via = "10.0.0.2" }, { via = "10.1.0.2" } ]',
    "route6": 'to = "2001:db8:9::/48"\nvia = "fd00::2"',
    "on-link6": 'to = "2001:db8:9::/48"\ndev = "v0"',
    "blackhole6": 'to = "2001:db8:9::/48"\ntype = "blackhole"',
    "multipath6": 'to = "2001:db8:9::/48"\nhops = [ { via = "fd00::2" }, { via = "fd01::2" } ]',
    "table": 'to = "default"\nvia = "10.0.0.2"\ntable = 120',
    "many": f'prefixes = [{", ".join(json.dumps(one) for one in prefixes(700).split())}]\ntype = "blackhole"',
    "rule": 'priority = 1234\nfrom = "10.20.0.0/21"\ntable = 120',
    "rule of both families": 'priority = 1234\nfamily = "both"\nfwmark = 1\ntable = 120',
    "address": 'address = "10.20.0.11/21"\ndev = "v0"',
    "address6": 'address = "2001:db8:20::1/64"\ndev = "v0"\nnodad = true',
    "vip by a route": 'address = "10.103.0.7"\nnode = "10.0.0.1"\nwhen = "always"',
    "local vip": 'address = "10.103.0.7"\nnode = "10.0.0.1"\nlocal = true\nwhen = "always"',
    "held vip": 'address = "10.103.0.7"\ndev = "v0"\nannounce = { count = 0 }',
}


def table_of(kind: str) -> str:
    words = ("rule", "address", "vip")
    return next((word for word in words if word in kind), "route")


def carried(protocol: int | str) -> int:
    """How many routes, rules and addresses carry a number, as `ip` tells, and of addresses the kernel itself."""
    number = str(protocol)
    return len(routes(number)) + len(rules(number)) + list_marks_of_addresses().count(int(protocol))


def list_marks_of_addresses() -> list[int]:
    """IFA_PROTO of each address that has one: an `ip` of 6.1 does not print it."""
    found, family, is_over = [], 0, False
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHIIBBBBI", 24, 22, 0x301, 1, 0, family, 0, 0, 0, 0))  # RTM_GETADDR, a dump
        while not is_over:
            answer = kernel.recv(1 << 20)
            while answer:
                length, kind = struct.unpack_from("=IH", answer)
                is_over = kind == 3  # NLMSG_DONE
                rest, answer = answer[24:length], answer[(length + 3) & ~3 :]
                while len(rest) >= 4 and not is_over:
                    size, attribute = struct.unpack_from("=HH", rest)
                    found += [rest[4]] if attribute == 11 else []
                    rest = rest[(size + 3) & ~3 :]
    return found


def marks(daemon: Daemon) -> dict[str, Any]:
    found = json.loads((daemon.state / "marks.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def other(daemon: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """A second daemon beside the first one, with folders of its own."""
    (tmp_path / "other").mkdir()
    other = Daemon(tmp_path / "other")
    try:
        yield other
    finally:
        other.close()


def test_an_entry_says_by_which_number_ip_and_other_daemons_know_its_objects(daemon: Daemon) -> None:
    daemon.start(GATEWAY + entry("route", EACH_KIND["route"], 200), daemon=FURTHER)
    (ours,) = ip_json("route show proto 200")
    assert (ours["dst"], ours["gateway"]) == ("198.51.100.0/24", "10.0.0.2")
    assert len(ip_json("route show proto 114")) == 1
    assert ip_json("route show proto 201") == []
    assert daemon.ask("plan", "--exit-code").code == 0
    status = daemon.ask_json("status")
    assert (status["protocol"], status["protocols"], status["former_protocols"]) == (114, [200, 201], [])
    assert "protocol 200 of single entries" in daemon.ask("status").out


@pytest.mark.parametrize("kind", EACH_KIND)
def test_every_kind_gets_its_number_keeps_it_and_changes_it(daemon: Daemon, kind: str) -> None:
    table = table_of(kind)
    daemon.start(entry(table, EACH_KIND[kind]), daemon=FURTHER)
    count = carried(114)
    assert count
    for former, number in ((114, 200), (200, 201), (201, None)):
        result = daemon.apply(entry(table, EACH_KIND[kind], number), daemon=FURTHER)
        assert result["failures"] == []
        assert (carried(former), carried(number or 114)) == (0, count)
        assert daemon.ask("plan", "--exit-code").code == 0


@pytest.mark.parametrize("kind", [kind for kind in EACH_KIND if table_of(kind) == "route" and kind != "many"])
def test_a_route_takes_another_number_without_a_moment_in_which_it_is_not_there(
    daemon: Daemon, monitor: Monitor, kind: str
) -> None:
    daemon.start(entry("route", EACH_KIND[kind], 200), daemon=FURTHER)
    monitor.heard()
    daemon.apply(entry("route", EACH_KIND[kind], 201), daemon=FURTHER)
    assert [change.what for change in monitor.heard() if change.what == "route gone"] == []


def test_a_rule_takes_another_number_by_a_second_one_that_is_there_before_the_first_goes(
    daemon: Daemon, monitor: Monitor
) -> None:
    daemon.start(entry("rule", EACH_KIND["rule"], 200), daemon=FURTHER)
    monitor.heard()
    daemon.apply(entry("rule", EACH_KIND["rule"], 201), daemon=FURTHER)
    assert [change.what for change in monitor.heard() if "rule" in change.what] == ["rule", "rule gone"]


@pytest.mark.parametrize("family", ["", "6"])
def test_what_another_marks_with_another_number_of_ours_is_drift_and_is_told_in_the_words_of_ip(
    daemon: Daemon, family: str
) -> None:
    to, via = ("2001:db8:9::/48", "fd00::2") if family else ("198.51.100.0/24", "10.0.0.2")
    daemon.start(entry("route", EACH_KIND[f"route{family}"], 200), daemon=FURTHER)
    ip(f"route replace {to} via {via} proto 201")
    wait_until(lambda: carried(200) == 1)
    assert carried(201) == 0
    repaired = daemon.wait_for("repaired")
    assert "proto 201" in json.dumps(repaired)


def test_what_carries_a_number_and_nobody_wants_is_surplus_wherever_it_is(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon=FURTHER)
    ip("route add 203.0.113.0/24 via 10.0.0.2 proto 200 table 77")
    ip("rule add from 10.9.0.0/16 table 77 protocol 201 priority 77")
    assert daemon.ask("apply").code == 0
    assert (carried(200), carried(201)) == (0, 0)
    ip("route add 203.0.113.0/24 via 10.0.0.2 proto 202 table 77")
    assert daemon.ask("apply").code == 0
    assert carried(202) == 1


def test_what_somebody_adds_under_a_further_number_goes_as_soon_as_it_is_heard_of(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon=FURTHER)
    ip("route add 203.0.113.0/24 via 10.0.0.2 proto 200 table 77")
    wait_until(lambda: carried(200) == 0)


@pytest.mark.parametrize("protocol", [None, 200])
def test_why_tells_whose_a_route_of_a_further_number_is(daemon: Daemon, protocol: int | None) -> None:
    daemon.start(GATEWAY + entry("route", EACH_KIND["route"], protocol), daemon=FURTHER)
    route = daemon.ask_json("why", "198.51.100.7")["decision"]["route"]
    assert (route["owner"], route["entry"]) == ("ours", "route/it")
    assert f"proto {protocol or 'routed'}" in route["object"]


def test_too_many_deletions_under_a_further_number_are_held_too(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon=FURTHER)
    daemon.stop()
    for number in range(30):
        ip(f"route add blackhole 10.5.{number}.0/24 proto 200")
    daemon.start()
    assert daemon.ask("apply").code == 4
    assert carried(200) == 30
    assert daemon.ask("apply", "--force").code == 0
    assert carried(200) == 0


def test_a_number_that_leaves_the_file_stays_ours_until_nothing_carries_it_over_a_kill(daemon: Daemon) -> None:
    many = blackholes(30).replace('type = "blackhole"', 'type = "blackhole"\nprotocol = 200')
    daemon.start(many, daemon=FURTHER)
    assert carried(200) == 30
    daemon.write(GATEWAY, "protocols = [201]")
    assert daemon.ask("apply").code == 4
    assert marks(daemon) == {"version": 1, "protocol": 114, "former": [200, 201], "further": [201]}
    daemon.kill()
    daemon.start()
    status = daemon.ask_json("status")
    assert (status["protocols"], status["former_protocols"], carried(200)) == ([201], [200], 30)
    with pytest.raises(AlreadyRunningError):
        acquire(200, daemon.folder / "elsewhere")
    assert daemon.ask("apply", "--force").code == 0
    assert carried(200) == 0
    assert marks(daemon) == {"version": 1, "protocol": 114, "former": [201], "further": [201]}
    acquire(200, daemon.folder / "elsewhere").close()


def test_a_number_and_the_entries_that_say_it_move_in_one_reload(daemon: Daemon) -> None:
    daemon.start(GATEWAY + entry("route", EACH_KIND["route"], 200), daemon="protocols = [200]")
    daemon.apply(GATEWAY + entry("route", EACH_KIND["route"], 201), daemon="protocol = 200\nprotocols = [201]")
    assert (carried(114), carried(200), carried(201)) == (0, 1, 1)
    assert marks(daemon) == {"version": 1, "protocol": 200, "former": [201], "further": [201]}


def test_a_whole_world_of_a_further_number_moves_to_that_of_the_daemon_and_back(daemon: Daemon) -> None:
    further = "".join(f"[[{one}\nprotocol = 200\n" for one in ("".join(WORLD).strip().split("[[")[1:]))
    daemon.start(WORLD, daemon=FURTHER)
    before = carried(114)
    for text, counts in ((further, (0, before)), (WORLD, (before, 0))):
        daemon.apply(text, daemon=FURTHER)
        assert (carried(114), carried(200)) == counts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("protocols = [115]", "protocol = 115"),
        ("protocol = 115", "protocol = 116\nprotocols = [115]"),
        ("protocols = [200]", "protocol = 115\nprotocols = [200]"),
    ],
)
def test_a_second_daemon_that_wants_one_of_our_numbers_is_refused_at_its_start_and_directly(
    daemon: Daemon, other: Daemon, first: str, second: str
) -> None:
    daemon.start(GATEWAY, daemon=first)
    other.write(GATEWAY, second)
    number = 200 if "200" in second else 115
    for answer in (other.ask("run", "--log-format", "json"), other.ask("apply", "--direct")):
        assert answer.code == 4
        words = f"another routed (pid {daemon.pid}) keeps the objects of protocol {number} in this network namespace"
        assert words in answer.err
    acquire(116, other.folder / "run").close()  # what it had taken is given back


def test_a_reload_to_a_further_number_of_another_daemon_changes_nothing_and_gives_back_what_it_took(
    daemon: Daemon, other: Daemon
) -> None:
    daemon.start(GATEWAY, daemon="protocols = [200]")
    other.start(blackholes(2), daemon="protocol = 115")
    other.write(blackholes(1), daemon="protocol = 115\nprotocols = [199, 200]")
    answer = other.ask("apply")
    assert answer.code == 4
    assert f"another routed (pid {daemon.pid}) keeps the objects of protocol 200" in answer.err
    assert (carried(115), other.ask_json("status")["protocols"]) == (2, [])
    acquire(199, other.folder / "elsewhere").close()
    daemon.apply(GATEWAY, daemon="")
    assert other.ask("apply").code == 0
    assert (carried(115), other.ask_json("status")["protocols"]) == (1, [199, 200])


def test_without_a_daemon_it_is_the_same(daemon: Daemon) -> None:
    daemon.write(GATEWAY + entry("route", EACH_KIND["route"], 200), FURTHER)
    assert daemon.ask("apply", "--direct").code == 0
    assert (carried(114), carried(200)) == (1, 1)
    daemon.write(GATEWAY, "")
    plan = daemon.ask("plan")
    assert "198.51.100.0/24 via 10.0.0.2 dev v0 proto 200" in plan.out
    assert daemon.ask("apply", "--direct").code == 0
    assert (carried(114), carried(200)) == (1, 0)
    assert marks(daemon) == {"version": 1, "protocol": 114, "former": []}


def test_a_kill_at_any_moment_of_a_change_of_number_leaves_each_object_with_the_one_that_it_has_to_have(
    daemon: Daemon, monitor: Monitor, tmp_path: Path
) -> None:
    chance = random.Random(11)  # noqa: S311  no secret
    listed = tmp_path / "drop.txt"
    listed.write_text(prefixes(2000))
    text = f'[[route]]\nname = "drop"\nprefixes_file = "{listed}"\ntype = "blackhole"\n'
    daemon.start(f"{text}protocol = 200\n", daemon=f'{FURTHER}\nwatch = "apply"')
    assert carried(200) == 2000
    numbers = [200, 201, 114, 201, 200]
    for former, number in pairwise(numbers):
        moment = chance.choice([1, chance.randrange(2, 2000)])
        daemon.write(f"{text}protocol = {number}\n", f'{FURTHER}\nwatch = "apply"')
        monitor.heard()
        heard = 0
        while heard < moment and carried(number) < 2000:
            heard += len(monitor.heard())
        daemon.kill()

        daemon.start()
        assert {one: carried(one) for one in (114, 200, 201)} == {114: 0, 200: 0, 201: 0} | {number: 2000}, former
        assert daemon.ask("plan", "--exit-code").code == 0


def test_a_trial_that_brought_a_number_takes_it_away_again(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(GATEWAY + entry("route", EACH_KIND["route"], 200), FURTHER)
    assert daemon.ask("apply", "--confirm", "2s").code == 0
    assert carried(200) == 1
    wait_until(lambda: carried(200) == 0, 10)
    wait_until(lambda: marks(daemon)["former"] == [], 10)
    assert (carried(114), marks(daemon)) == (1, {"version": 1, "protocol": 114, "former": []})


def test_import_says_the_numbers_of_the_files_again_and_says_of_others_why_they_stay_out(daemon: Daemon) -> None:
    text = "".join(entry(table_of(kind), EACH_KIND[kind], 200) for kind in ("route", "rule", "address"))
    daemon.start(text.replace('name = "it"\n', ""), daemon=FURTHER)
    ip("route add 203.0.113.0/24 via 10.0.0.2 proto 202")
    answer = daemon.ask("import")
    assert "left out: route 203.0.113.0/24: a program keeps it under this number (proto 202)" in answer.err
    imported = tomllib.loads(answer.out)
    assert imported["daemon"] == {"protocols": [200]}
    said = [one.get("protocol", 0) for kind in ("route", "rule", "address") for one in imported[kind]]
    assert said.count(200) == 3
    daemon.config.write_text(answer.out)
    assert {step["symbol"] for step in daemon.ask_json("plan")["steps"]} == {
        "="
    }  # the addresses that v0 had get a mark
