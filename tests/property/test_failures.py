"""Every call to the kernel fails, wherever it stands in what a daemon goes through: nothing is lost, nobody lied to.

A call that fails gives no answer at all (``OSError``, or an exception that nobody expects); what it asked for may have
been done. The clock of these tests never comes to the regular comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from errno import EBUSY, EINTR, EMFILE, ENOBUFS, ENOMEM
from os import strerror

import pytest

from routed.core.dirt import STORM, Dirt
from routed.core.troubles import State
from routed.daemon.engine import Request
from routed.daemon.status import describe_entries, summarise
from routed.model import names
from routed.model.change import Cause, Verb
from routed.model.entries import HeldVipEntry, Intent, Settings, VipEntry, When
from routed.model.net import parse_address, parse_prefix
from routed.model.objects import Key, Value
from routed.model.reasons import Look
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import (
    ORIGIN,
    THEIRS,
    Rig,
    a_host,
    a_route,
    a_rule,
    an_address,
    give_address,
    route_key,
    route_value,
    via,
)

SETTINGS = Settings(resync=1e9, fight_limit=None)
PATIENCE = 100.0  # seconds of the clock; the longest pause is 30
FOREIGN = route_key("10.99.0.0/16")
MANY = tuple(f"10.200.{number}.0/24" for number in range(20))
FILE = (
    a_route("lan", "10.1.0.0/16", hops=(via("192.0.2.2"),)),
    a_route("many", MANY, type_=names.BLACKHOLE, is_file=True),
    a_route("six", "2001:db8:1::/48", hops=(via("fd00::9"),)),
    a_rule(),
    an_address(),
    VipEntry(
        name="vip/pinned",
        origin=ORIGIN,
        prefix=parse_prefix("10.103.97.2"),
        node=parse_address("192.0.2.1"),
        when=When.NOT_DEFAULT,
    ),
    HeldVipEntry(
        name="vip/held",
        origin=ORIGIN,
        address=parse_address("192.0.2.80"),
        prefixlen=32,
        dev="v0",
        announcements=2,
    ),
)
OTHER_FILE = (
    a_route("lan", "10.1.0.0/16", hops=(via("198.51.100.2"),)),
    a_route("many", (*MANY[5:], "10.201.0.0/16"), type_=names.BLACKHOLE, is_file=True),
    *FILE[3:],
)


@dataclass
class Failing:
    """Lets the calls of some positions fail, counted from when it was armed."""

    error: Exception | None = None
    positions: range = range(0)
    calls: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __call__(self, call: str) -> None:
        position = len(self.calls)
        self.calls.append(call)
        if self.error is not None and position in self.positions:
            self.failed.append(call)
            raise self.error


def start(rig: Rig) -> None:
    """A start that fails ends the daemon, and its service manager starts another one."""
    for _ in range(8):
        try:
            reports = rig.start(*FILE, settings=SETTINGS)
        except Exception:  # noqa: BLE001  of any kind: that is what this is about
            rig.__post_init__()
        else:
            assert reports or rig.errors
            return


def reload(rig: Rig) -> None:
    rig.enforce(Intent(SETTINGS, OTHER_FILE))


def delete_one(rig: Rig) -> None:
    delete(rig.kernel, [route_key("10.1.0.0/16")])
    rig.run(0.0)


def flush(rig: Rig) -> None:
    delete(rig.kernel, [route_key(prefix) for prefix in MANY])
    rig.run(0.0)


def storm(rig: Rig) -> None:
    """More events than are worth a look each, over ours and amid a repair."""
    for _ in range(2 * STORM // len(MANY)):
        delete(rig.kernel, [route_key(prefix) for prefix in MANY])
        for prefix in MANY:
            value = route_value(protocol=114, type_=names.BLACKHOLE)
            rig.kernel.request(Verb.ADD, route_key(prefix), value)
    flush(rig)


def flap(rig: Rig) -> None:
    (dev,) = (link.ifindex for link in rig.kernel.links.values() if link.name == "v0")
    rig.kernel.set_down(dev)
    rig.run(0.0)
    rig.kernel.set_up(dev)
    give_address(rig.kernel, "fd00::1/64", dev)  # an IPv6 address goes with its link, and its owner puts it again
    rig.run(0.0)


def stop(rig: Rig) -> None:
    """With ``on_stop = "remove"``: what could not be removed, the next start knows."""
    rig.engine.rest()
    rig.enforce(Intent(SETTINGS), is_forced=True)


def delete(kernel: FakeKernel, keys: list[Key]) -> None:
    for key in keys:
        for value in kernel.standing(key)[:1]:
            kernel.request(Verb.DELETE, key, value)


PHASES: dict[str, Callable[[Rig], None]] = {
    phase.__name__: phase for phase in (start, reload, delete_one, flush, storm, flap)
}
ERRORS: dict[str, Exception] = {
    "EBUSY": OSError(EBUSY, strerror(EBUSY)),
    "ENOBUFS": OSError(ENOBUFS, strerror(ENOBUFS)),
    "EMFILE": OSError(EMFILE, strerror(EMFILE)),
    "ENOMEM": OSError(ENOMEM, strerror(ENOMEM)),
    "EINTR": OSError(EINTR, strerror(EINTR)),
    "a bug": ValueError("a bug"),
}


# Each so many positions; the last three are treated as the first is.
STRIDES = {"ENOBUFS": 1, "EBUSY": 2, "a bug": 2, "EMFILE": 9, "ENOMEM": 9, "EINTR": 9}


def play(phase: str, failing: Failing) -> Rig:
    """A daemon that has gone through a phase, with calls that fail in it."""
    kernel = a_host()
    assert kernel.request(Verb.ADD, FOREIGN, route_value(protocol=THEIRS, type_=names.BLACKHOLE)) == 0
    rig = Rig(kernel)
    if phase != "start":
        rig.start(*FILE, settings=SETTINGS)
        rig.run(5.0)
    kernel.mischief.fail = failing
    PHASES[phase](rig)
    return rig


def is_right(rig: Rig) -> bool:
    """Does the kernel hold all that is wanted, and what is not ours as well?"""
    wanted = (
        (Key(group.kind, group.slot, member), group.value)
        for resolution in rig.host.wanted.desired.resolutions.values()
        for group in resolution.sets
        for member in group.members
    )
    return all(value in rig.kernel.standing(key)[:1] for key, value in wanted) and bool(rig.kernel.standing(FOREIGN))


def surplus_of(rig: Rig) -> Iterator[tuple[Key, Value]]:
    for kind in FakeKernel.kinds:
        for slot, member, value in rig.kernel.stand(kind):
            key = Key(kind, slot, member)
            if value.protocol == 114 and rig.host.wanted.desired.get(key) is None:
                yield key, value


def says_in_sync(rig: Rig) -> bool:
    entries = describe_entries(rig.host, str)
    is_in_sync = bool(entries) and all(entry["state"] == State.IN_SYNC for entry in entries)
    assert is_in_sync <= ("not known" not in summarise(rig.host, 1))
    return is_in_sync


def count_calls(phase: str) -> int:
    failing = Failing()
    play(phase, failing)
    return len(failing.calls)


def check(phase: str, error: str, positions: range) -> None:
    failing = Failing(ERRORS[error], positions)
    rig = play(phase, failing)
    at = f"{phase} at {failing.failed}"
    for seconds in (0.0, 0.5, 1.0, 2.0, PATIENCE):
        if says_in_sync(rig) and not rig.host.schedule.dirt:
            assert is_right(rig), f"in sync, it says: {at}"
        rig.run(seconds)
    assert is_right(rig), at
    assert not list(surplus_of(rig)), at
    assert says_in_sync(rig), (at, [entry for entry in describe_entries(rig.host, str) if entry["state"] != "in-sync"])
    assert rig.plan_is_empty(), at


@pytest.mark.parametrize(("error", "stride"), STRIDES.items())
@pytest.mark.parametrize("phase", PHASES)
def test_a_call_that_fails_once_loses_nothing_wherever_it_stands(phase: str, error: str, stride: int) -> None:
    for position in range(0, count_calls(phase), stride):
        check(phase, error, range(position, position + 1))


@pytest.mark.parametrize("error", ["ENOBUFS", "a bug"])
@pytest.mark.parametrize("phase", PHASES)
def test_calls_that_fail_five_times_in_a_row_lose_nothing_wherever_they_stand(phase: str, error: str) -> None:
    for position in range(0, count_calls(phase), 4):
        check(phase, error, range(position, position + 5))


def test_every_call_of_the_seam_fails_somewhere_here() -> None:
    seen: set[str] = set()
    for phase in PHASES:
        failing = Failing()
        play(phase, failing)
        seen |= set(failing.calls)
    rig = play("flap", Failing())
    rig.run(PATIENCE)
    calls = {
        "read_links", "read_addresses", "locate_gateways", "look_up", "read_default_routes", "read_dump",
        "read_dump amid", "apply", "apply answered", "hear_echo", "read_events", "read_events amid", "listen_for",
    }  # fmt: skip
    assert calls <= seen | {"announce"}


@pytest.mark.parametrize("error", ["ENOBUFS", "a bug"])
def test_what_a_stop_could_not_remove_the_next_start_removes(error: str) -> None:
    failing = Failing()
    rig = play("start", failing)
    rig.run(5.0)
    failing.calls.clear()
    stop(rig)
    for position in range(len(failing.calls)):
        rig = play("start", Failing())
        rig.kernel.mischief.fail = Failing(ERRORS[error], range(position, position + 1))
        stop(rig)
        rig.kernel.mischief.fail = Failing()
        again = Rig(rig.kernel)
        again.start(settings=replace(SETTINGS, max_deletes=1.0))
        again.run(PATIENCE)
        assert not list(surplus_of(again)), position
        assert rig.kernel.standing(FOREIGN)


def test_while_everything_fails_no_entry_is_said_to_be_in_sync_and_the_daemon_does_not_spin() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(*FILE, settings=replace(SETTINGS, resync=3.0))
    rig.run(5.0)
    failing = kernel.mischief.fail = Failing(ERRORS["EMFILE"], range(10_000))
    rig.run(60.0)
    assert not says_in_sync(rig)
    assert {entry["state"] for entry in describe_entries(rig.host, str)} == {"unknown"}
    assert len(failing.failed) < 40


def test_amid_a_pass_that_puts_files_in_force_nothing_is_said_to_be_in_sync() -> None:
    rig = Rig(a_host())
    rig.start(a_route("lan", "10.1.0.0/16"))
    other = Intent(SETTINGS, FILE)
    files = Request(Dirt(everything=Cause(None, Look.RELOAD)), prepare=lambda: rig.host.enforce(other, rig.now))
    amid = []
    rig.engine.ask(files)
    while rig.engine.advance() is not None and not files.is_over:
        amid.append((says_in_sync(rig), is_right(rig)))
    assert (False, False) in amid
    assert (True, False) not in amid
    rig.run()
    assert says_in_sync(rig)
