"""`routed why`, with the daemon and without: which way a packet goes, whose that is, and why an entry is in its state.

`ip route get` is the judge of the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from routed.kernel.codec.attributes import attribute
from routed.kernel.kernel import Kernel
from routed.model.change import Operation, Verb
from routed.model.net import IPV4
from routed.model.objects import Kind, RuleMember, RuleSlot, RuleValue
from routed.model.reasons import Flaw
from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon

COLUMNS = 80
FILE = """
[[table]]
name = "storage"
id = 120

[[check]]
name = "wan"
type = "file"
file = "{said}"
every = "50ms"
fall = 1
rise = 1

[[route]]
name = "out"
to = "default"
via = "10.0.0.2"
metric = 50

[[route]]
name = "backup"
to = "default"
via = "10.1.0.2"
metric = 200

[[route]]
name = "lan"
to = "10.30.0.0/16"
via = "10.0.0.3"
requires = "@wan"
when_all_down = "withdraw"

[[route]]
name = "storage"
to = "10.40.0.0/16"
via = "10.0.0.4"
table = "storage"

[[route]]
name = "later"
to = "10.50.0.0/16"
dev = "gone0"

[[rule]]
name = "from-storage"
priority = 1200
from = "10.1.0.0/24"
table = "storage"
"""


@pytest.fixture
def said() -> Iterator[Path]:
    """What the check looks at: it says down."""
    with TemporaryDirectory(dir="/run") as folder:
        said = Path(folder, "wan")
        said.write_text("down")
        yield said


@pytest.fixture
def files(daemon: Daemon, said: Path) -> Daemon:
    """A daemon that is not started yet, with its files."""
    daemon.write(FILE.format(said=said))
    return daemon


@pytest.fixture
def running(files: Daemon) -> Daemon:
    files.start()
    wait_until(lambda: files.entry("route/lan")["state"] == "withheld")
    return files


def origin(daemon: Daemon, name: str) -> str:
    """The place of a table in the file."""
    lines = daemon.config.read_text().splitlines()
    number = lines.index(f'name = "{name}"')  # the line below the head of the table
    return f"{daemon.config}:{number}"


def outranked(document: dict[str, Any], entry: str) -> dict[str, Any]:
    (found,) = [one for one in document["outranked"] if one["object"]["entry"] == entry]
    return found  # type: ignore[no-any-return]


def test_the_way_is_that_of_ip_and_names_the_entry_with_its_line(running: Daemon) -> None:
    document = running.ask_json("why", "198.51.100.1")
    (shown,) = ip_json("route get 198.51.100.1")
    assert document["decision"]["hops"] == [{"dev": shown["dev"], "gateway": shown["gateway"]}]
    assert document["kernel"]["agrees"] is True
    assert document["kernel"]["source"] == shown["prefsrc"]
    route = document["decision"]["route"]
    assert (route["entry"], route["origin"], route["owner"]) == ("route/out", origin(running, "out"), "ours")
    assert document["unknown"] == []


@pytest.mark.parametrize("address", ["224.0.0.5", "239.1.2.3", "255.255.255.255"])
def test_what_is_for_several_goes_out_of_the_link_as_ip_has_it(running: Daemon, address: str) -> None:
    for _ in ("by the default route", "by a route for groups"):
        document = running.ask_json("why", address)
        (shown,) = ip_json(f"route get {address}")
        assert document["decision"]["hops"] == [{"dev": shown["dev"], "gateway": shown.get("gateway", "")}]
        assert document["kernel"]["agrees"] is True
        assert f"{address} oif v1 goes dev v1\n" in running.ask("why", address, "--oif", "v1").out
        ip("route replace 224.0.0.0/4 via 10.1.0.7")


def test_of_several_ways_none_is_told_with_the_source_of_another(running: Daemon) -> None:
    ip("route add 198.51.100.0/24 nexthop via 10.0.0.2 nexthop via 10.1.0.2")
    first = running.ask("why", "198.51.100.1").out.splitlines()[0]
    assert first == "198.51.100.1 goes via 10.0.0.2 dev v0 or via 10.1.0.2 dev v1"
    assert running.ask("why", "203.0.113.1").out.startswith("203.0.113.1 goes via 10.0.0.2 dev v0 from 10.0.0.1\n")


def test_a_route_that_wraps_packets_in_others_is_not_told_as_a_plain_one(running: Daemon) -> None:
    ip("route add 198.51.100.0/24 encap ip id 5 dst 10.0.0.9 via 10.0.0.8 dev v0")
    assert running.ask_json("why", "198.51.100.1")["decision"]["route"]["object"] == (
        "198.51.100.0/24 encap ip id 5 dst 10.0.0.9 via 10.0.0.8 dev v0 proto boot"
    )


def test_a_rule_that_is_passed_says_which_selector_does_not_fit_and_one_that_leads_says_whose_it_is(
    running: Daemon,
) -> None:
    passed = running.ask_json("why", "10.40.0.9")
    (step,) = [one for one in passed["steps"] if one["rule"]["entry"] == "rule/from-storage"]
    assert (step["why"], step["selector"]) == ("not-for", "from")
    assert outranked(passed, "route/storage")["why"] == "not-reached"
    led = running.ask_json("why", "10.40.0.9", "--from", "10.1.0.1")
    assert led["decision"]["rule"]["entry"] == "rule/from-storage"
    assert led["decision"]["route"]["entry"] == "route/storage"
    (shown,) = ip_json("route get 10.40.0.9 from 10.1.0.1")
    assert led["decision"]["hops"] == [{"dev": shown["dev"], "gateway": shown["gateway"]}]


def test_what_is_withheld_or_waits_is_told_though_it_does_not_stand(running: Daemon, said: Path) -> None:
    lan = outranked(running.ask_json("why", "10.30.0.9"), "route/lan")
    assert (lan["stands"], lan["state"], lan["why"]) == (False, "withheld", "")
    assert "check/wan is down" in lan["reason"]
    later = outranked(running.ask_json("why", "10.50.0.9"), "route/later")
    assert (later["stands"], later["state"], later["reason"]) == (False, "waiting", "link gone0 does not exist")
    said.write_text("up")
    wait_until(lambda: running.entry("route/lan")["state"] == "in-sync")
    assert running.ask_json("why", "10.30.0.9")["decision"]["route"]["entry"] == "route/lan"


def test_what_is_in_front_of_ours_is_named_with_who_put_it_there_and_without_it_ours_decides(running: Daemon) -> None:
    ip("route add default via 10.1.0.9 metric 1")
    wait_until(lambda: running.entry("route/out")["state"] == "shadowed")
    document = running.ask_json("why", "198.51.100.1")
    route = document["decision"]["route"]
    assert (route["owner"], route["protocol"], route["entry"]) == ("foreign", "boot", "")
    assert route["who"]  # a busy machine may have seen no more of it than its port id
    out, backup = outranked(document, "route/out"), outranked(document, "route/backup")
    assert (out["why"], [one["object"] for one in out["in_front"]]) == ("lower-metric", [route["object"]])
    assert [one["entry"] for one in backup["in_front"]] == ["", "route/out"]
    ip("route del default via 10.1.0.9 metric 1")
    assert running.ask_json("why", "198.51.100.1")["decision"]["route"]["entry"] == "route/out"


def test_a_more_specific_route_of_another_daemon_is_told_by_the_name_of_its_protocol(running: Daemon) -> None:
    ip("route add 198.51.100.0/24 via 10.1.0.9 proto bird")
    document = running.ask_json("why", "198.51.100.1")
    assert document["decision"]["route"]["protocol"] == "bird"
    assert outranked(document, "route/out")["why"] == "more-specific"
    said = running.ask("why", "198.51.100.1").out
    assert "protocol bird" in said


def test_a_packet_that_comes_in_is_dropped_where_this_host_does_not_forward_and_says_which_setting_it_is(
    running: Daemon,
) -> None:
    words = ("why", "198.51.100.1", "--from", "10.1.0.77", "--iif", "v1")
    document = running.ask_json(*words)
    assert document["decision"]["outcome"] == "dropped"
    assert "net.ipv4.conf.v1.forwarding is 0" in document["decision"]["aside"]
    assert document["kernel"]["agrees"] is True
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    document = running.ask_json(*words)
    assert (document["decision"]["outcome"], document["decision"]["aside"]) == ("sent", "")
    assert document["kernel"]["agrees"] is True


def test_it_works_without_the_daemon_and_says_what_is_not_known_then(files: Daemon) -> None:
    files.start()
    assert files.stop() == 0
    document = files.ask_json("why", "198.51.100.1")
    route = document["decision"]["route"]
    assert (route["entry"], route["origin"]) == ("route/out", origin(files, "out"))
    assert document["kernel"]["agrees"] is True
    assert len(document["unknown"]) == 1
    assert "the daemon does not run" in document["unknown"][0]
    assert outranked(files.ask_json("why", "10.30.0.9"), "route/lan")["state"] == "waiting"
    ip("route del default via 10.1.0.2 metric 200")
    backup = outranked(files.ask_json("why", "198.51.100.1"), "route/backup")
    assert (backup["stands"], backup["state"]) == (False, "missing")


def test_files_that_are_not_valid_do_not_keep_the_way_from_being_explained(files: Daemon) -> None:
    ip("route add default via 10.0.0.2")
    files.write("[[route]]\nnonsense = 1\n")
    document = files.ask_json("why", "198.51.100.1")
    assert document["decision"]["outcome"] == "sent"
    assert document["kernel"]["agrees"] is True
    assert any("not valid" in one for one in document["unknown"])
    assert files.ask("why", "route/out").code == 78


@pytest.mark.parametrize(
    "words",
    [
        ("10.0.0.0/8",),
        ("::",),
        ("198.51.100.1", "--iif", "v0"),
        ("198.51.100.1", "--from", "10.0.0.1", "--iif", "v0", "--oif", "v1"),
        ("198.51.100.1", "--from", "fd00::1"),
        ("198.51.100.1", "--dport", "53"),
        ("198.51.100.1", "--tos", "8", "--dscp", "2"),
        ("198.51.100.1", "--mark", "many"),
        ("198.51.100.1", "--proto", "none"),
        ("route/out", "--mark", "7"),
    ],
)
def test_a_packet_that_there_cannot_be_is_wrong_usage(files: Daemon, words: tuple[str, ...]) -> None:
    answer = files.ask("why", *words)
    assert (answer.code, answer.out) == (64, "")
    assert answer.err


def test_a_link_or_an_entry_that_is_not_there_is_told(running: Daemon) -> None:
    assert running.ask("why", "198.51.100.1", "--oif", "gone0").code == 1
    answer = running.ask("why", "route/nothing")
    assert answer.code == 1
    assert "route/nothing" in answer.err


def test_a_source_that_is_not_this_hosts_is_explained_and_not_asked_about(running: Daemon) -> None:
    document = running.ask_json("why", "198.51.100.1", "--from", "192.0.2.9")
    assert document["decision"]["outcome"] == "sent"
    assert document["kernel"]["agrees"] is None
    assert "--iif" in document["kernel"]["reason"]


# --- entries ----------------------------------------------------------------------------------------------------------


def find_node(node: dict[str, Any], what: str) -> dict[str, Any]:
    """The first node of a tree about this."""
    found = [one for one in walk(node) if one["what"] == what or one["state"] == what]
    assert found, (what, node)
    return found[0]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(deeper for one in node["why"] for deeper in walk(one))]


def why(daemon: Daemon, entry: str) -> dict[str, Any]:
    document = daemon.ask_json("why", entry)
    assert document["schema"] == "routed.why-entry/1"
    (root,) = document["entries"]
    return root  # type: ignore[no-any-return]


def test_an_entry_that_is_withheld_leads_to_its_check_with_what_that_found(running: Daemon, said: Path) -> None:
    root = why(running, "lan")
    assert (root["what"], root["state"], root["origin"]) == ("route/lan", "withheld", origin(running, "lan"))
    assert find_node(root, "check/wan")["reason"] == f"file: {said} says down"
    assert find_node(root["why"][0], "withheld")["change"].endswith("routed override check/wan up")
    assert running.ask("override", "check/wan", "up").code == 0
    wait_until(lambda: running.entry("route/lan")["state"] == "in-sync")
    assert why(running, "lan")["state"] == "in-sync"


def test_an_entry_that_waits_says_for_what_and_what_would_change_it(running: Daemon) -> None:
    root = why(running, "route/later")
    assert (root["state"], root["why"][0]["reason"]) == ("waiting", "link gone0 does not exist")
    assert root["why"][0]["change"] == "link gone0 appears"
    assert root["why"][0]["since"]


def test_an_entry_that_is_paused_says_who_paused_it_until_when_and_how_to_end_that(running: Daemon) -> None:
    assert running.ask("pause", "route/out", "--for", "1h", "--reason", "works").code == 0
    root = why(running, "route/out")
    node = find_node(root["why"][0], "paused")
    assert (node["reason"], node["change"]) == ("works", "routed resume route/out")
    assert node["until"] > node["since"]
    assert running.ask(*node["change"].split()[1:]).code == 0
    assert why(running, "route/out")["state"] == "in-sync"


def test_no_way_out_of_a_pause_ends_the_pauses_of_others(running: Daemon) -> None:
    assert running.ask("pause", "route/out", "--for", "1h").code == 0
    ip("route del default via 10.0.0.2 metric 50")
    wait_until(lambda: len(why(running, "route/out")["why"]) > 1)
    nodes = why(running, "route/out")["why"]
    assert {node["change"] for node in nodes} == {"routed resume route/out"}


def test_an_entry_that_is_shadowed_names_what_decides_and_who_put_it_there(running: Daemon) -> None:
    ip("route add default via 10.1.0.9 metric 1")
    wait_until(lambda: running.entry("route/out")["state"] == "shadowed")
    root = why(running, "route/out")
    node = find_node(root["why"][0], "shadowed")
    assert "default via 10.1.0.9 dev v1" in node["reason"]
    assert "put there by" in node["reason"]


def test_without_the_daemon_an_entry_is_judged_by_the_files_and_the_kernel(files: Daemon) -> None:
    assert why(files, "route/out")["state"] == "drift"
    files.start()
    assert files.stop() == 0
    assert why(files, "route/out")["state"] == "in-sync"
    assert why(files, "route/later")["why"][0]["reason"] == "link gone0 does not exist"
    assert files.ask_json("why", "route/out")["unknown"]
    ip("route del default via 10.0.0.2 metric 50")
    root = why(files, "route/out")
    assert (root["state"], root["why"][0]["change"]) == ("drift", "routed apply")


def test_all_of_it_is_readable_at_eighty_columns(running: Daemon) -> None:
    ip("route add default via 10.1.0.9 metric 1")
    wait_until(lambda: running.entry("route/out")["state"] == "shadowed")
    for words in (["198.51.100.1"], ["10.30.0.9"], ["10.40.0.9"], ["10.0.0.1"], ["lan"], ["out"], ["later"]):
        answer = running.ask("why", *words)
        assert answer.code == 0
        long = [line for line in answer.out.splitlines() if len(line) > COLUMNS]
        assert [line for line in long if len(line.split()) > 1] == []  # a path may be longer than a line


def test_what_the_kernel_answers_otherwise_is_told_and_is_an_error(running: Daemon) -> None:
    """A rule of which routed cannot read a selector: it takes it to be for no packet, and the kernel knows better."""
    tunnel = attribute(12, (5).to_bytes(8, "big"))  # FRA_TUN_ID, which no packet without a tunnel has
    member = RuleMember(100, inverted=True, action=6, ipproto=6, dport=(81, 81), extra=tunnel)
    operation = Operation(Verb.ADD, Kind.RULE, RuleSlot(IPV4), (member,), RuleValue(4), None, Flaw.MISSING)
    with Kernel() as kernel:
        if [*kernel.apply(operation)] != [()]:
            pytest.skip("this kernel knows no rules by tunnel")
    answer = running.ask("why", "198.51.100.1", "--proto", "tcp", "--dport", "81")
    assert answer.code == 1
    assert "not understood" in answer.out
    assert "the kernel itself" in answer.out
    assert "Invalid argument" in answer.out
