"""``routed run --follow-netlink`` on Debian's kernel: drift of services is put right at once, and ipvsadm is named.

Who did it is told by the tap alone: where a record has ipvsadm's port, no poll found it. On an emulated processor it
may have ended before anybody could look who had that port, although its start is heard of as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.vm.host import SLOW, Host

VIP = "10.71.0.80:80"
SERVERS = "10.72.0.11:8080", "10.72.0.12:8080"
SERVICE = f"""
[ipvs]
poll = "60s"

[[service]]
name = "web"
listen = "{VIP}"
scheduler = "sh"
servers = ["{SERVERS[0]}", "{SERVERS[1]}"]
"""
SAVED = [f"-A -t {VIP} -s sh", *(f"-a -t {VIP} -r {one} -m -w 1" for one in SERVERS)]
LINK = "routed-tap-114"
TRIES: Final = 3
TOLD: Final = 90.0  # seconds, more than a poll
IS_THERE = f"ip link show {LINK} up type nlmon"


@pytest.fixture(autouse=True)
def _follows(host: Host) -> Iterator[None]:
    host.drop_in("ExecStart=\nExecStart=/usr/bin/routed run --follow-netlink --follow-processes")
    yield
    host.do("systemctl stop routed; ipvsadm -C")


def wait_for(host: Host, *lines: str) -> None:
    text = "\n".join(sorted(lines))
    host.wait_until(f"[ \"$(ipvsadm -Sn | sed 's/ *$//' | sort)\" = '{text}' ]")


def do(host: Host, words: str) -> str:
    """Have ipvsadm do what is put right, and be told of it. Returns its name; empty where nobody could look.

    A daemon that is not given its processor between a request and what it does, as on an emulated one that others use
    as well, finds it by a poll and knows nobody. So it may be that only another try is told of.
    """
    for _ in range(TRIES):
        named = be_told(host, words)
        wait_for(host, *SAVED)
        if named is not None:
            return named
    raise AssertionError(f"of {TRIES} times no record tells of ipvsadm {words}")


def be_told(host: Host, words: str) -> str | None:
    """What its record says who it was; None where none does, though it was put right long since."""
    pid = int(host.do(f"echo $$; exec ipvsadm {words}"))
    end = time.monotonic() + TOLD
    while not (records := host.journal(f"ROUTED_ACTOR_PORT={pid}")):
        if time.monotonic() > end:
            return None
        host.do("sleep 0.2")
    named: str = records[0].get("ROUTED_ACTOR_CMDLINE", "")
    assert named in {"", f"ipvsadm {words}"}
    return named


def test_what_ipvsadm_does_is_put_back_and_ipvsadm_is_named(host: Host) -> None:
    host.start(SERVICE)
    host.wait_for_record("ROUTED_EVENT=following")
    wait_for(host, *SAVED)
    deeds = [
        f"-d -t {VIP} -r {SERVERS[0]}",
        f"-e -t {VIP} -r {SERVERS[0]} -m -w 7",
        f"-e -t {VIP} -r {SERVERS[1]} -m -w 1 -x 100 -y 50",  # of which /proc shows nothing
        f"-E -t {VIP} -s sh -b sh-port",  # likewise
        f"-a -t {VIP} -r 10.72.0.99:8080 -m",
        f"-D -t {VIP}",
        "-C",
    ]
    names = [do(host, words) for words in deeds]
    assert any(names)  # all, on a host that is not emulated
    assert "100" not in host.do("ipvsadm -Ln --thresholds")
    assert host.journal("ROUTED_EVENT=not-following") == []


def test_what_is_none_of_ours_is_left_alone(host: Host) -> None:
    host.start(SERVICE)
    host.wait_for_record("ROUTED_EVENT=following")
    host.do("ipvsadm -A -t 10.71.0.99:1 -s lc && ipvsadm -a -t 10.71.0.99:1 -r 10.72.0.11:1 -m")
    host.do(f"ipvsadm -d -t {VIP} -r {SERVERS[0]}")
    wait_for(host, "-A -t 10.71.0.99:1 -s lc", "-a -t 10.71.0.99:1 -r 10.72.0.11:1 -m -w 1", *SAVED)


def test_a_module_that_was_loaded_anew_is_heard_as_before(host: Host) -> None:
    host.start(SERVICE)
    host.wait_for_record("ROUTED_EVENT=following")
    wait_for(host, *SAVED)
    host.do("ipvsadm -C && modprobe -r ip_vs_sh ip_vs && modprobe ip_vs || true")
    wait_for(host, *SAVED)
    do(host, f"-d -t {VIP} -r {SERVERS[0]}")


@pytest.mark.long
def test_a_tap_that_is_deleted_is_told_and_made_again_with_the_next_full_pass(host: Host) -> None:
    host.start(SERVICE)
    host.wait_for_record("ROUTED_EVENT=following")
    host.do(f"ip link del {LINK}")
    record = host.wait_for_record("ROUTED_EVENT=not-following")
    assert LINK in record["ROUTED_REASON"]
    host.do(f"ipvsadm -d -t {VIP} -r {SERVERS[0]}")
    wait_for(host, *SAVED)  # by a poll
    host.do("routed apply", within=SLOW)
    host.wait_for_records(2, "ROUTED_EVENT=following")
    do(host, f"-d -t {VIP} -r {SERVERS[0]}")


def test_the_tap_outlives_a_kill_and_goes_with_a_stop_or_the_last_service(host: Host) -> None:
    host.start("")
    assert host.run(IS_THERE).code
    host.configure(SERVICE)
    assert host.reload().code == 0
    host.wait_for_record("ROUTED_EVENT=following")
    host.do(IS_THERE)
    host.do("systemctl kill --signal=KILL routed")
    host.wait_for_records(2, "ROUTED_EVENT=following")
    do(host, f"-d -t {VIP} -r {SERVERS[0]}")
    host.configure("")
    assert host.reload().code == 0
    host.wait_until(f"! {IS_THERE}")
    host.configure(SERVICE)
    assert host.reload().code == 0
    host.wait_for_records(3, "ROUTED_EVENT=following")
    host.do("systemctl stop routed")
    assert host.run(IS_THERE).code


def test_where_it_may_not_be_it_is_said_what_is_missing_and_services_are_kept_all_the_same(host: Host) -> None:
    host.drop_in(
        "ExecStart=\nExecStart=/usr/bin/routed run --follow-netlink\nRestrictAddressFamilies=\n"
        "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6"
    )
    host.start(SERVICE)
    record = host.wait_for_record("ROUTED_EVENT=not-following")
    assert "AF_PACKET" in record["MESSAGE"]
    wait_for(host, *SAVED)
