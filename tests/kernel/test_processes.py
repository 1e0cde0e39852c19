"""From a port id to its process: what is read of /proc, what is not believed, and what is remembered."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.daemon.scheduling import ask_for_short_slices
from routed.kernel.execs import ExecWatch
from routed.kernel.owners import PortOwner, find_inode, find_owner, is_still_owner
from routed.kernel.processes import (
    LONGEST,
    MOST_PIDS,
    parse_cmdline,
    parse_loginuid,
    parse_status,
    parse_unit,
    read_process,
)
from routed.kernel.witness import LIFE, MEMORY, MOST, SEARCH_AGAIN, STARTS, Witness
from routed.model.process import Process
from tests.kernel import netns
from tests.system import stranger

STATUS = (
    b"Name:\tip\nState:\tR (running)\nTgid:\t42\nPid:\t42\nPPid:\t7\nUid:\t1000\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
    b"NSpid:\t42\nCapEff:\t0000000000001000\n"
)

FIRST_PIDS = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/uapi/linux/nsfs.h

Never = Callable[[], bool]


def never() -> bool:
    return False


def test_this_very_process_is_read_whole() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert process.pid == os.getpid()
    assert process.comm == Path("/proc/self/comm").read_text().rstrip("\n")
    assert process.uid == os.getuid()
    assert process.cmdline.startswith(Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode())


def test_a_process_that_has_ended_keeps_its_name_until_its_parent_asks() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        process = read_process(child.pid)
        assert process is not None
        assert (process.comm, process.cmdline, process.uid) == ("true", "", os.getuid())
        child.wait()
        assert read_process(child.pid) is None


def test_the_first_process_and_kernel_threads_are_nobodys_name() -> None:
    assert read_process(1) is None
    assert read_process(2) is None


def test_a_status_says_name_user_pid_and_rights() -> None:
    status = parse_status(STATUS)
    assert status == ("ip", 1000, 42, True, False)
    inside = parse_status(STATUS.replace(b"NSpid:\t42", b"NSpid:\t42\t5"))
    assert inside is not None
    assert inside.innermost_pid == 5


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        (b"0::/user.slice/user-0.slice/session-3.scope\n", "session-3.scope"),
        (b"0::/system.slice/systemd-networkd.service\n", "systemd-networkd.service"),
        (b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n", "user@1000.service"),
        (b"0::/system.slice/ssh.service (deleted)\n", "ssh.service"),
        (b"12:pids:/a.service\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service"),
        (b"0::/\n", ""),
        (b"0::/docker/0123abcd\n", ""),
        (b"", ""),
    ],
)
def test_the_unit_is_the_first_that_is_no_slice(cgroup: bytes, unit: str) -> None:
    assert parse_unit(cgroup) == unit


@pytest.mark.parametrize(("text", "uid"), [(b"1000", 1000), (b"0\n", 0), (b"4294967295", None), (b"", None)])
def test_a_loginuid_that_was_never_set_is_nobody(text: bytes, uid: int | None) -> None:
    assert parse_loginuid(text) == uid


def test_arguments_are_told_with_blanks_between_and_cut_when_long() -> None:
    assert parse_cmdline(b"ip\0route\0del\x0010.30.0.0/16\0") == "ip route del 10.30.0.0/16"
    assert parse_cmdline(b"\xff\0") == "\\xff"
    assert len(parse_cmdline(b"a" * 4096)) == LONGEST


@given(st.binary())
def test_whatever_stands_in_proc_is_read_without_a_fault(data: bytes) -> None:
    assert len(parse_cmdline(data)) <= LONGEST
    assert len(parse_unit(data)) <= LONGEST
    parse_loginuid(data)
    parse_status(data)
    parse_status(STATUS.replace(b"ip", data.replace(b"\n", b""), 1))


@given(st.binary().filter(lambda name: b"\n" not in name))
def test_a_process_cannot_lie_about_its_user_by_its_name(name: bytes) -> None:
    status = parse_status(STATUS.replace(b"ip", name, 1))
    assert status is not None
    assert status[1:] == (1000, 42, True, False)


def test_the_holder_of_a_second_socket_is_found_and_known_again_while_it_holds_it() -> None:
    with stranger.long_lived(2) as (process, port):
        owner = find_owner(port, never)
        assert owner is not None
        assert owner.process.pid == process.pid
        assert is_still_owner(owner)
    assert not is_still_owner(owner)
    assert find_owner(port, never) is None


def test_a_search_that_takes_too_long_is_given_up() -> None:
    with stranger.long_lived(2) as (_, port):
        assert find_inode(port)
        assert find_owner(port, lambda: True) is None


class Desk:
    """A witness whose clock and look-ups are the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reads: list[int] = []
        self.living = set(range(1000))
        self.owner: PortOwner | None = None
        self.finds = 0
        self.witness = Witness(lambda: self.now, self.read, self.find)

    def read(self, pid: int) -> Process | None:
        self.reads.append(pid)
        return Process(pid) if pid in self.living else None

    def find(self, _port: int, _is_late: Never) -> PortOwner | None:
        self.finds += 1
        return self.owner


def test_who_was_glanced_at_is_named_though_it_ended_since() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        netns.wait_until(lambda: "sleep" in Path(f"/proc/{sleeper.pid}/cmdline").read_text())
        desk = Desk()
        desk.witness.glance(sleeper.pid)
        sleeper.kill()
    assert read_process(sleeper.pid) is None
    named = desk.witness.identify(sleeper.pid)
    assert named is not None
    assert (named.pid, named.cmdline) == (sleeper.pid, "sleep 60")
    assert desk.reads == []


def test_of_a_port_that_is_no_pid_all_is_asked_at_once() -> None:
    guesses: list[int] = []
    witness = Witness(guess=lambda: guesses.append(1))
    witness.glance(MOST_PIDS + 1)
    assert guesses == [1]
    witness.identify(MOST_PIDS + 1)
    assert guesses == [1]


def test_who_was_found_by_a_search_is_known_at_a_glance(tmp_path: Path) -> None:
    desk = Desk()
    descriptor = tmp_path / "3"
    descriptor.symlink_to("socket:[77]")
    desk.owner = PortOwner(Process(42, "networkd"), str(descriptor), "socket:[77]")
    desk.witness.search(7)
    desk.witness.glance(7)
    descriptor.unlink()
    assert desk.witness.identify(7) == Process(42, "networkd")
    assert desk.reads == []


def test_a_glance_does_not_look_again_at_who_was_looked_at_just_now() -> None:
    desk = Desk()
    desk.witness.identify(7)
    desk.witness.glance(7)
    assert desk.witness.identify(7) == Process(7)
    assert desk.reads == [7]


def test_a_storm_of_one_process_costs_one_look() -> None:
    desk = Desk()
    assert {desk.witness.identify(7) for _ in range(100_000)} == {Process(7)}
    assert desk.reads == [7]


def test_a_look_is_not_believed_for_long() -> None:
    desk = Desk()
    desk.witness.identify(7)
    desk.now += LIFE * 1.01
    desk.witness.identify(7)
    assert desk.reads == [7, 7]


def test_what_a_process_did_before_it_ended_is_its_own_when_it_is_read_later() -> None:
    host = Short(later=None)
    assert host.witness.identify(7)
    host.end()
    host.now += LIFE * 1.01
    assert host.witness.identify(7) == Process(7, "ip", "ip route del x", "session-3.scope", 0)
    host.now += MEMORY
    assert host.witness.identify(7) is None


def test_a_storm_that_is_read_when_its_process_has_ended_costs_no_look_for_each_event() -> None:
    desk = Desk()
    desk.witness.identify(7)
    desk.living.clear()
    desk.now += LIFE * 1.01
    assert {desk.witness.identify(7) for _ in range(100_000)} == {Process(7)}
    assert desk.reads == [7, 7]


def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    for port in range(MOST * 3):
        desk.witness.identify(port)
    assert len(desk.witness._looks) <= MOST


def test_a_port_id_that_can_be_no_pid_is_not_looked_up_as_one() -> None:
    desk = Desk()
    assert desk.witness.identify(3_558_370_724) is None
    assert desk.reads == []


def test_what_was_searched_in_vain_is_left_alone_for_a_while() -> None:
    desk = Desk()
    assert desk.witness.is_worth_a_search(3_558_370_724)
    desk.witness.search(3_558_370_724)
    assert not desk.witness.is_worth_a_search(3_558_370_724)
    desk.now += SEARCH_AGAIN * 1.01
    assert desk.witness.is_worth_a_search(3_558_370_724)


def test_a_holder_once_found_is_named_at_once_until_its_socket_is_another(tmp_path: Path) -> None:
    desk, descriptor = Desk(), tmp_path / "3"
    descriptor.symlink_to("socket:[77]")
    desk.owner = PortOwner(Process(42, "networkd"), str(descriptor), "socket:[77]")
    desk.witness.search(3_558_370_724)
    assert desk.witness.find_searched(3_558_370_724) == Process(42, "networkd")
    assert desk.witness.identify(3_558_370_724) == Process(42, "networkd")
    desk.now += 1.0
    descriptor.unlink()
    descriptor.symlink_to("socket:[78]")
    assert desk.witness.identify(3_558_370_724) is None
    assert desk.witness.is_worth_a_search(3_558_370_724)


class Starts:
    """Programs that were started, as an ExecWatch tells of them."""

    def __init__(self, *pids: int) -> None:
        self.pids = list(pids)

    def read(self) -> list[int]:
        pids, self.pids = self.pids, []
        return pids


class Short:
    """A host on which a program is there when it starts, and gone or ending when its change is heard of."""

    def __init__(self, later: Process | None) -> None:
        self.now = 100.0
        self.looks = 0
        self.present: Process | None = Process(7, "ip", "ip route del x", "session-3.scope", 0)
        self.later = later
        self.witness = Witness(lambda: self.now, self.look)

    def look(self, _pid: int) -> Process | None:
        self.looks += 1
        return self.present

    def end(self) -> None:
        self.present = self.later


def test_a_program_that_was_seen_at_its_start_is_named_when_it_is_gone() -> None:
    host = Short(later=None)
    host.witness.note_starts(Starts(7))
    host.end()
    assert host.witness.identify(7) == Process(7, "ip", "ip route del x", "session-3.scope", 0)
    assert host.witness.identify(8) is None


def test_a_program_that_was_seen_at_its_start_has_its_arguments_when_it_is_ending() -> None:
    ending = Process(7, "ip", "", "session-3.scope", 0, 1000)
    host = Short(later=ending)
    host.witness.note_starts(Starts(7))
    host.end()
    assert host.witness.identify(7) == ending._replace(cmdline="ip route del x")


def test_a_process_that_lives_is_named_as_it_is_now() -> None:
    other = Process(7, "networkd", "networkd --now", "networkd.service", 998)
    host = Short(later=other)
    host.witness.note_starts(Starts(7))
    host.end()
    assert host.witness.identify(7) == other


def test_a_host_that_starts_programs_without_end_costs_so_many_looks_a_second_and_no_more() -> None:
    host = Short(later=None)
    for _ in range(10):
        host.witness.note_starts(Starts(*range(1000)))
    assert host.looks == STARTS
    host.now += 1.0
    host.witness.note_starts(Starts(7))
    assert host.looks == STARTS + 1


@pytest.fixture
def execs() -> Iterator[ExecWatch]:
    """An ExecWatch of the first network namespace: the kernel speaks of starts in no other."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        opened = ExecWatch()  # are we there?
    except OSError:
        try:
            netns.enter(os.open("/proc/1/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            opened = ExecWatch()
        except OSError as error:
            pytest.skip(f"the first network namespace cannot be entered, or does not tell of starts: {error}")
        finally:
            netns.enter(home)
    yield opened
    opened.close()


def test_the_kernel_tells_of_a_program_that_starts_and_not_of_its_end(execs: ExecWatch) -> None:
    if Path("/proc/self/ns/pid").stat().st_ino != FIRST_PIDS:
        pytest.skip("the kernel tells the pids of the first pid namespace, which is not ours")
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert execs.read().count(child.pid) == 1


def test_other_network_namespaces_are_not_told_of_starts() -> None:
    with netns.private_network(), pytest.raises(OSError, match="refused"):
        ExecWatch()


def test_short_slices_are_granted_where_the_kernel_knows_of_them() -> None:
    assert ask_for_short_slices()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
