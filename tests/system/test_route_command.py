"""`routed route` on the very host of the documents of `sealos route`, with their script and their transcripts.

Two cards: 192.168.160.243/23 on ens33, 192.168.253.129/24 on ens32; the default route is via 192.168.253.1 dev ens32.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from routed.cli.host_route import OTHER_CHANGES
from tests.kernel import netns
from tests.kernel.netns import ip
from tests.system.daemon import PROJECT, Daemon
from tests.system.host import routes, shown

VIP = "10.103.97.2"
NODE = "192.168.253.129"
ROUTER = "192.168.253.1"
OTHER_ROUTER = "192.168.253.2"
NO_SUCH = "no such process"


@contextmanager
def documents_host() -> Iterator[None]:
    with netns.private_network():
        netns.veth("ens33", "192.168.160.243/23", "fd33::243/64")
        netns.veth("ens32", f"{NODE}/24", "fd32::129/64")
        ip(f"route add default via {ROUTER} dev ens32")
        yield


@pytest.fixture
def network() -> Iterator[None]:
    with documents_host():
        yield


@pytest.fixture
def running(daemon: Daemon) -> Daemon:
    daemon.start("")
    return daemon


def drop_in(daemon: Daemon, host: str = VIP) -> Path:
    return daemon.drop_ins / f"50-route-{host}.toml"


def run_script(daemon: Daemon, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `sealos` is routed."""
    bin_folder = daemon.folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "sealos"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m routed {" ".join(daemon._options)} "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)


def source_of(host: str) -> str:
    """The source address that the kernel picks for packets to a host."""
    source = netns.ip_json(f"route get {host}")[0]["prefsrc"]
    assert isinstance(source, str)
    return source


# --- is this the default-route address? ---


@pytest.mark.parametrize(
    ("host", "answer", "code"),
    [("192.168.253.129", "ok\n", 0), ("192.168.253.128", "failed\n", 1), ("192.168.160.243", "failed\n", 1)],
)
def test_the_question_is_answered_as_in_the_document(daemon: Daemon, host: str, answer: str, code: int) -> None:
    assert daemon.ask("route", "--host", host) == (code, answer, "")


def test_ipv6_is_answered_by_the_ipv6_default_route(daemon: Daemon) -> None:
    ip("-6 route add default via fd33::1 dev ens33")
    assert daemon.ask("route", "--host", "FD33:0::243").out == "ok\n"
    assert daemon.ask("route", "--host", "fd32::129").out == "failed\n"


def test_a_vpn_that_splits_the_default_route_wins(daemon: Daemon) -> None:
    ip("route add 0.0.0.0/1 dev ens33 metric 900")
    ip("route add 128.0.0.0/1 dev ens33 metric 900")
    assert daemon.ask("route", "--host", "192.168.160.243").out == "ok\n"
    assert daemon.ask("route", "--host", NODE).out == "failed\n"


def test_the_kernel_lists_default_routes_in_the_order_of_the_proc_file(daemon: Daemon) -> None:
    ip("route add default via 192.168.160.1 dev ens33 metric 50")
    ip("route add 0.0.0.0/8 dev ens33 metric 3")
    listed = [line.split() for line in Path("/proc/thread-self/net/route").read_text().splitlines()]
    first = next(fields[0] for fields in listed if fields[1] == "00000000")
    expected = {"ens33": "192.168.160.243", "ens32": NODE}[first]
    assert daemon.ask_json("route", "--host", NODE)["default"] == expected


def test_a_loopback_address_stands_in_for_an_interface_without_one(daemon: Daemon) -> None:
    ip("address add 10.9.9.9/32 dev lo")
    ip("address flush dev ens33")
    ip("route add default dev ens33 metric 0 tos 0x10")  # the first in the kernel's order
    assert daemon.ask("route", "--host", "10.9.9.9").out == "ok\n"


def test_without_a_default_route_the_answer_is_failed_and_says_why(daemon: Daemon) -> None:
    ip("route del default")
    assert daemon.ask("route", "--host", NODE) == (1, "failed\n", "routed: this host has no default route\n")


def test_a_default_route_without_an_interface_ends_the_search(daemon: Daemon) -> None:
    ip("route replace unreachable default")
    answer = daemon.ask("route", "--host", NODE)
    assert (answer.code, answer.out) == (1, "failed\n")
    assert "no interface" in answer.err


# --- a route by a router ---


def test_a_route_is_there_as_ip_route_add_makes_it_and_nothing_is_said(running: Daemon) -> None:
    assert running.ask("route", "add", "--host", VIP, "--gateway", ROUTER) == (0, "", "")
    (route,) = shown(VIP)
    assert (route["dst"], route["gateway"], route["dev"], route.get("metric")) == (VIP, ROUTER, "ens32", None)
    assert running.entry(f"route/{VIP}/32")["state"] == "in-sync"


def test_the_daemon_puts_it_back_when_somebody_deletes_it(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    ip(f"route del {VIP}")
    netns.wait_until(lambda: bool(shown(VIP)))


def test_the_same_once_more_is_success_and_writes_nothing(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    before = drop_in(running).stat()
    assert running.ask("route", "add", "--host", VIP, "--gateway", ROUTER) == (0, "", "")
    assert drop_in(running).stat() == before


def test_another_gateway_replaces_the_former_one_and_says_so(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    answer = running.ask("route", "add", "--host", VIP, "--gateway", OTHER_ROUTER)
    assert answer == (0, "", f"routed: {VIP} via {OTHER_ROUTER} replaces {VIP} via {ROUTER}\n")
    assert [route["gateway"] for route in shown(VIP)] == [OTHER_ROUTER]


def test_ipv6_has_a_file_and_a_route_like_ipv4(running: Daemon) -> None:
    assert running.ask("route", "add", "--host", "FD99::2", "--gateway", "fd32::1") == (0, "", "")
    assert drop_in(running, "fd99::2").exists()
    assert [route["gateway"] for route in shown("fd99::2")] == ["fd32::1"]
    assert running.ask("route", "del", "--host", "fd99::2", "--gateway", "fd32::1") == (0, "", "")
    assert shown("fd99::2") == []


def test_a_gateway_that_is_not_there_yet_is_waited_for_and_said(running: Daemon) -> None:
    answer = running.ask("route", "add", "--host", VIP, "--gateway", "198.51.100.1")
    assert (answer.code, answer.out) == (0, "")
    assert "waiting: gateway 198.51.100.1 is on no network of this host" in answer.err
    ip("address add 198.51.100.9/24 dev ens33")
    netns.wait_until(lambda: bool(shown(VIP)))


# --- a route by an address of this host, as the documents have it ---


def test_the_documents_transcript_holds_line_by_line(running: Daemon) -> None:
    ended = run_script(
        running,
        f"""
        sealos route --host 192.168.253.129
        sealos route --host 192.168.253.128
        sealos route --host 192.168.160.243
        sealos route add --host {VIP} --gateway {NODE}
        ip route show | grep {VIP} | sed 's/ proto 114//; s/ src {NODE}//'
        sealos route del --host {VIP} --gateway {NODE}
        ip route show | grep {VIP}
        sealos route del --host {VIP} --gateway {NODE}
        """,
    )
    assert ended.stdout == f"ok\nfailed\nfailed\n{VIP} via {NODE} dev ens32 \n"
    assert (ended.returncode, ended.stderr) == (1, f"routed: {VIP} via {NODE}: no such process\n")


@pytest.mark.parametrize(("node", "is_added"), [(NODE, False), ("192.168.160.243", True)])
def test_the_documents_script_of_a_joining_node_pins_the_source_where_it_is_needed(
    running: Daemon, node: str, is_added: bool
) -> None:
    script = f"""
        NODE={node} VIP={VIP}
        status=$(sealos route --host $NODE)
        [ "$status" = ok ] || sealos route add --host $VIP --gateway $NODE
    """
    for _ in range(2):  # a node that joins again
        ended = run_script(running, script)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert bool(shown(VIP)) is is_added
    assert source_of(VIP) == node


def test_a_route_with_metric_50_that_is_left_of_sealos_does_no_harm_and_stays(running: Daemon) -> None:
    ip(f"route add {VIP} via 192.168.160.243 metric 50")
    assert running.ask("route", "add", "--host", VIP, "--gateway", NODE) == (0, "", "")
    assert source_of(VIP) == NODE
    assert running.ask("route", "del", "--host", VIP, "--gateway", NODE).code == 0
    assert [route["metric"] for route in shown(VIP)] == [50]


def test_an_address_of_this_host_becomes_a_vip_that_is_in_sync(running: Daemon) -> None:
    assert running.ask("route", "add", "--host", VIP, "--gateway", NODE) == (0, "", "")
    (route,) = shown(VIP)
    assert (route["gateway"], route["dev"], route["prefsrc"]) == (NODE, "ens32", NODE)
    assert "metric" not in route
    (entry,) = [one for one in running.ask_json("status")["entries"] if one["entry"].startswith("vip/")]
    assert (entry["state"], entry["origin"]) == ("in-sync", f"{drop_in(running)}:2")


def test_the_second_address_of_a_card_is_the_source_though_it_is_not_the_first(running: Daemon) -> None:
    ip("address add 192.168.253.200/24 dev ens32")
    assert running.ask("route", "add", "--host", VIP, "--gateway", "192.168.253.200") == (0, "", "")
    assert source_of(VIP) == "192.168.253.200"


def test_an_ipv6_address_of_this_host_pins_the_source_too(running: Daemon) -> None:
    ip("-6 route add default via fd33::1 dev ens33")
    assert source_of("fd99::2") == "fd33::243"
    assert running.ask("route", "add", "--host", "fd99::2", "--gateway", "fd32::129") == (0, "", "")
    assert source_of("fd99::2") == "fd32::129"
    assert running.ask("route", "del", "--host", "fd99::2", "--gateway", "fd32::129") == (0, "", "")
    assert source_of("fd99::2") == "fd33::243"


def test_a_gateway_that_became_an_address_of_this_host_is_pinned_by_the_next_add(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", "192.168.253.200")
    ip("address add 192.168.253.200/24 dev ens32")
    assert running.ask("route", "add", "--host", VIP, "--gateway", "192.168.253.200") == (0, "", "")
    assert source_of(VIP) == "192.168.253.200"


def test_a_node_that_is_not_there_yet_is_waited_for_and_is_the_source_when_it_comes(running: Daemon) -> None:
    ip("address flush dev ens33")
    answer = running.ask("route", "add", "--host", VIP, "--gateway", "192.168.160.243")
    assert answer == (0, "", "routed: waiting: gateway 192.168.160.243 is on no network of this host\n")
    ip("address add 192.168.160.243/23 dev ens33")
    netns.wait_until(lambda: bool(shown(VIP)))
    assert source_of(VIP) == "192.168.160.243"


def test_a_flap_of_the_card_loses_nothing(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", NODE)
    ip("link set ens32 down")
    netns.wait_until(lambda: not shown(VIP))
    ip("link set ens32 up")
    netns.wait_until(lambda: bool(shown(VIP)) and source_of(VIP) == NODE)


def test_a_vip_that_the_main_file_declares_for_the_same_node_makes_add_a_success(running: Daemon) -> None:
    running.apply(f'[[vip]]\nname = "apiserver"\naddress = "{VIP}"\nnode = "{NODE}"')
    answer = running.ask("route", "add", "--host", VIP, "--gateway", NODE)
    assert answer == (0, "", f"routed: {VIP} is declared already, at {running.config}:4 (vip/apiserver)\n")
    assert running.ask("route", "add", "--host", VIP, "--gateway", "192.168.160.243").code == 4
    assert running.ask("route", "del", "--host", VIP, "--gateway", NODE).code == 4


def test_an_address_on_a_card_that_is_down_is_waited_for(running: Daemon) -> None:
    ip("link set ens33 down")
    answer = running.ask("route", "add", "--host", VIP, "--gateway", "192.168.160.243")
    assert answer == (0, "", "routed: waiting: link ens33 is down\n")
    ip("link set ens33 up")
    netns.wait_until(lambda: bool(shown(VIP)) and source_of(VIP) == "192.168.160.243")


def test_where_something_else_wins_the_route_is_no_success_and_the_source_is_named(running: Daemon) -> None:
    ip("route add default dev ens33 table 200")
    ip(f"rule add priority 100 to {VIP} lookup 200")
    answer = running.ask("route", "add", "--host", VIP, "--gateway", NODE)
    said = "is in place, but packets to it leave from 192.168.160.243: `routed status` says what wins"
    assert answer == (1, "", f"routed: {VIP} via {NODE} {said}\n")
    ip(f"rule del priority 100 to {VIP} lookup 200")
    assert running.ask("route", "add", "--host", VIP, "--gateway", NODE) == (0, "", "")


def test_without_a_daemon_the_source_is_pinned_as_well(daemon: Daemon) -> None:
    assert daemon.ask("-q", "route", "add", "--host", VIP, "--gateway", "192.168.160.243") == (0, "", "")
    assert source_of(VIP) == "192.168.160.243"


# --- del ---


def test_del_of_another_gateway_is_no_such_process_and_names_the_one_that_is(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    answer = running.ask("route", "del", "--host", VIP, "--gateway", OTHER_ROUTER)
    assert answer.code == 1
    assert NO_SUCH in answer.err
    assert f"{drop_in(running)} says {VIP} via {ROUTER}" in answer.err
    assert len(shown(VIP)) == 1


def test_del_of_what_another_file_declares_is_refused_and_names_the_place(running: Daemon) -> None:
    running.apply(f'[[route]]\nname = "vip"\nto = "{VIP}"\nvia = "{ROUTER}"')
    answer = running.ask("route", "del", "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"declared at {running.config}:4 (route/vip)" in answer.err
    assert len(shown(VIP)) == 1


def test_del_of_a_strangers_route_is_refused_and_shows_it(running: Daemon) -> None:
    ip(f"route add {VIP} via {ROUTER}")
    answer = running.ask("route", "del", "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"not made by routed: {VIP} via {ROUTER} dev ens32 proto boot" in answer.err
    assert len(shown(VIP)) == 1


def test_del_takes_what_is_left_of_a_drop_in_that_somebody_removed(running: Daemon) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    drop_in(running).unlink()
    assert running.ask("route", "del", "--host", VIP, "--gateway", ROUTER).code == 0
    assert shown(VIP) == []


def test_del_on_a_host_without_any_file_is_no_such_process_and_makes_none(daemon: Daemon) -> None:
    answer = daemon.ask("route", "del", "--host", VIP, "--gateway", ROUTER)
    assert (answer.code, answer.out) == (1, "")
    assert NO_SUCH in answer.err
    assert not daemon.config.exists()
    assert not daemon.drop_ins.exists()


# --- others ---


def test_what_another_file_declares_alike_is_success_and_says_where(running: Daemon) -> None:
    running.apply(f'[[route]]\nname = "vip"\nto = "{VIP}"\nvia = "{ROUTER}"')
    answer = running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    assert answer == (0, "", f"routed: {VIP} is declared already, at {running.config}:4 (route/vip)\n")
    assert not drop_in(running).exists()


def test_what_another_file_declares_otherwise_is_refused_and_names_the_place(running: Daemon) -> None:
    running.apply(f'[[route]]\nname = "vip"\nto = "{VIP}"\nvia = "{ROUTER}"')
    answer = running.ask("route", "add", "--host", VIP, "--gateway", OTHER_ROUTER)
    assert answer.code == 4
    assert f"declared already, at {running.config}:4 (route/vip), in another way" in answer.err
    assert not drop_in(running).exists()


def test_a_strangers_route_gives_way_is_named_and_comes_back(running: Daemon) -> None:
    ip(f"route add {VIP} via {OTHER_ROUTER}")
    answer = running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    assert (answer.code, answer.out) == (0, "")
    assert f"takes the place of: {VIP} via {OTHER_ROUTER} dev ens32 proto boot" in answer.err
    assert [route["gateway"] for route in shown(VIP)] == [ROUTER]
    running.ask("route", "del", "--host", VIP, "--gateway", ROUTER)
    assert [route["gateway"] for route in shown(VIP)] == [OTHER_ROUTER]


def test_two_commands_at_once_both_have_their_way(running: Daemon) -> None:
    hosts = [f"10.103.97.{number}" for number in range(2, 10)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda host: ask_in(running, host), hosts))
    assert [answer[:2] for answer in answers] == [(0, "")] * len(hosts)
    # one may come upon the other's file, which is not in force yet, and put that in force as well
    assert {answer[2] for answer in answers} <= {"", f"routed: {OTHER_CHANGES}\n"}
    assert sorted(route["dst"] for route in routes()) == sorted(hosts)


def test_of_two_commands_at_once_for_one_host_one_wins_whole(running: Daemon) -> None:
    gateways = [ROUTER, OTHER_ROUTER] * 3
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda gateway: ask_in(running, VIP, gateway), gateways))
    assert {answer[0] for answer in answers} == {0}
    (route,) = shown(VIP)
    assert f'via = "{route["gateway"]}"' in drop_in(running).read_text()
    assert [file.name for file in running.drop_ins.iterdir()] == [drop_in(running).name]


def ask_in(daemon: Daemon, host: str, gateway: str = ROUTER) -> tuple[int, str, str]:
    # A thread of the pool stands in the namespace of the thread that made it.
    return daemon.ask("route", "add", "--host", host, "--gateway", gateway)


# --- bad words, bad files ---


@pytest.mark.parametrize(
    ("host", "gateway", "why"),
    [
        ("224.0.0.9", NODE, "a host cannot have a multicast address"),
        (NODE, NODE, "must be this host's own address, not that of the VIP"),
        ("fd99::2", ROUTER, f"an IPv6 route cannot have the IPv4 gateway {ROUTER}"),
        ("fd99::2", "fe80::1", "fe80::1 is on every link"),
    ],
)
def test_what_no_file_may_say_is_refused_in_one_line(running: Daemon, host: str, gateway: str, why: str) -> None:
    answer = running.ask("route", "add", "--host", host, "--gateway", gateway)
    assert (answer.code, answer.out, answer.err.count("\n")) == (4, "", 1)
    assert why in answer.err
    assert not drop_in(running, host).exists()
    assert running.config.exists()


def test_a_refusal_leaves_no_main_file_behind_that_was_not_there(daemon: Daemon) -> None:
    assert daemon.ask("route", "add", "--host", "224.0.0.9", "--gateway", NODE).code == 4
    assert not daemon.config.exists()
    assert list(daemon.drop_ins.iterdir()) == []


def test_a_daemon_that_does_not_answer_is_not_waited_for_longer_than_asked(running: Daemon) -> None:
    running.signal(signal.SIGSTOP)
    answer = running.ask("route", "add", "--host", VIP, "--gateway", ROUTER, "--timeout", "200ms")
    running.signal(signal.SIGCONT)
    assert answer == (3, "", "routed: the daemon did not answer within 0.2 s\n")
    assert not drop_in(running).exists()


@pytest.mark.parametrize("change", ["add", "del"])
@pytest.mark.parametrize("broken", ["routed.toml", "routed.toml.d/10-other.toml", f"routed.toml.d/50-route-{VIP}.toml"])
def test_a_broken_file_is_named_with_its_line_and_nothing_is_changed(running: Daemon, change: str, broken: str) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    path = running.folder / broken
    path.write_text("version = 1\n[[route]]\nto = nonsense\n")
    before = {file: file.read_bytes() for file in [running.config, *running.drop_ins.iterdir()]}
    answer = running.ask("route", change, "--host", VIP, "--gateway", OTHER_ROUTER if change == "add" else ROUTER)
    assert (answer.code, answer.out) == (78, "")
    assert f"{path}:3:6: not valid TOML" in answer.err
    assert {file: file.read_bytes() for file in [running.config, *running.drop_ins.iterdir()]} == before
    assert [route["gateway"] for route in shown(VIP)] == [ROUTER]


@pytest.mark.parametrize("change", ["add", "del"])
def test_a_drop_in_that_was_edited_by_hand_is_left_alone(running: Daemon, change: str) -> None:
    running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    edited = drop_in(running).read_text() + "metric = 50\n"
    drop_in(running).write_text(edited)
    answer = running.ask("route", change, "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"{drop_in(running)}:5:10: this is not as `routed route add` wrote it" in answer.err
    assert drop_in(running).read_text() == edited


def test_a_main_file_that_got_lost_is_not_replaced_by_an_empty_one(running: Daemon) -> None:
    running.apply('[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "192.168.253.1"')
    running.config.unlink()
    answer = running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"{running.config} was in force and is missing now" in answer.err
    running.stop()
    assert running.ask("route", "add", "--host", VIP, "--gateway", ROUTER).code == 4
    assert not running.config.exists()
    assert len(shown("10.30.0.0/16")) == 1


def test_what_else_had_changed_in_the_files_is_told_to_be_in_force(running: Daemon) -> None:
    running.write('[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "192.168.253.1"')
    netns.wait_until(lambda: running.ask_json("status")["files"]["state"] == "changed, not in force")
    answer = running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    assert (answer.code, answer.out) == (0, "")
    assert "other changes that were not in force yet" in answer.err
    assert len(shown("10.30.0.0/16")) == 1


@pytest.mark.parametrize("change", ["add", "del"])
def test_a_read_only_folder_is_named_and_nothing_is_changed(running: Daemon, change: str) -> None:
    if change == "del":
        running.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    running.drop_ins.mkdir(exist_ok=True)
    before = shown(VIP)
    script = f"mount --bind {running.drop_ins} {running.drop_ins} && mount -o remount,bind,ro {running.drop_ins}"
    command = [sys.executable, "-m", "routed", *running._options, "route", change, "--host", VIP, "--gateway", ROUTER]
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh", *command],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"routed: {drop_in(running)}: Read-only file system; nothing was changed\n"
    assert shown(VIP) == before
    assert drop_in(running).exists() is (change == "del")


def test_where_no_folder_can_be_made_nothing_else_is(daemon: Daemon) -> None:
    mount = f"mount --bind {daemon.folder} {daemon.folder} && mount -o remount,bind,ro {daemon.folder}"
    script = f'{mount} && exec "$@"'
    command = [sys.executable, "-m", "routed", *daemon._options, "route", "add", "--host", VIP, "--gateway", ROUTER]
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"routed: {daemon.drop_ins}: Read-only file system; nothing was changed\n"
    assert not daemon.config.exists()


def test_a_daemon_that_keeps_other_files_is_told_apart(running: Daemon, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    answer = running.ask("--config", str(other), "route", "add", "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"keeps {running.config}: name it with --config" in answer.err
    assert not other.exists()


# --- without a daemon ---


def test_without_a_daemon_the_kernel_is_changed_directly_and_that_is_said(daemon: Daemon) -> None:
    answer = daemon.ask("route", "add", "--host", VIP, "--gateway", ROUTER)
    said = "routed: no daemon is running: the kernel was changed directly, and nothing keeps it so\n"
    assert answer == (0, "", said)
    assert daemon.config.read_text() == "version = 1\n"
    assert [route["gateway"] for route in shown(VIP)] == [ROUTER]
    assert daemon.ask("-q", "route", "del", "--host", VIP, "--gateway", ROUTER) == (0, "", "")
    assert shown(VIP) == []


def test_a_daemon_elsewhere_on_this_network_refuses_and_the_file_is_taken_back(running: Daemon, tmp_path: Path) -> None:
    answer = running.ask("--runtime-dir", str(tmp_path / "none"), "route", "add", "--host", VIP, "--gateway", ROUTER)
    assert answer.code == 4
    assert f"another routed (pid {running.pid})" in answer.err
    assert not drop_in(running).exists()


@pytest.mark.parametrize("gateway", [ROUTER, NODE])
def test_the_route_survives_a_restart_of_the_daemon_and_a_reboot(tmp_path: Path, gateway: str) -> None:
    daemon = Daemon(tmp_path)
    try:
        with documents_host():
            daemon.start("")
            daemon.ask("route", "add", "--host", VIP, "--gateway", gateway)
            before = shown(VIP)
            daemon.stop()
            daemon.start()
            assert shown(VIP) == before
            daemon.stop()
        with documents_host():
            assert shown(VIP) == []
            daemon.start()
            assert [route["gateway"] for route in shown(VIP)] == [gateway]
            daemon.stop()
    finally:
        daemon.close()
