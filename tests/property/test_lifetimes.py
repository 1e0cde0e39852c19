"""What stood in our place for a while only is given back with what was left of its time, or not at all."""

from __future__ import annotations

from errno import ENOMEM, EPERM

import pytest

from routed.audit.notices import note_stopped
from routed.cli.apply import judge
from routed.cli.exits import Exit
from routed.core.dirt import Dirt
from routed.daemon.engine import Request
from routed.daemon.results import describe_result
from routed.daemon.status import count_leftovers, summarise
from routed.model.change import Cause, Verb
from routed.model.entries import Intent
from routed.model.lifetime import FOREVER, BootTime, Lifetime, Passing
from routed.model.objects import AddressValue, Key
from routed.model.reasons import Look
from tests.property.rig import Rig, a_host, address_key, an_address

BOOT = "of today"
TEXT4, TEXT6 = "192.0.2.7/24", "fd00::7/64"


class Clock:
    """CLOCK_BOOTTIME of some boot."""

    def __init__(self) -> None:
        self.now = BootTime(BOOT, 50.0)

    def wait(self, seconds: float) -> None:
        self.now = self.now._replace(seconds=self.now.seconds + seconds)

    def __call__(self) -> BootTime:
        return self.now


def lease(text: str, left: Lifetime) -> tuple[Rig, Clock, Key]:
    """A host whose address of DHCP, or of a router advertisement, was displaced by an entry."""
    kernel, key = a_host(), address_key(text, 1)
    label = "v0" if "." in text else ""
    assert kernel.request(Verb.ADD, key, AddressValue(0, label=label, dynamic=True)) == 0
    kernel.lifetimes[key] = left
    rig, clock = Rig(kernel), Clock()
    rig.reconciler.find_moment = clock
    rig.start(an_address(text))
    assert kernel.standing(key)[0].dynamic is False
    kernel.lifetimes.clear()
    return rig, clock, key


@pytest.mark.parametrize("text", [TEXT4, TEXT6])
def test_a_lease_is_put_back_with_what_is_left_of_it(text: str) -> None:
    rig, clock, key = lease(text, Lifetime(300, 200))
    clock.wait(60.0)
    rig.enforce(Intent())
    assert rig.kernel.standing(key)[0].dynamic
    assert rig.kernel.lifetimes == {key: Lifetime(240, 140)}
    assert not rig.host.ledger.displaced


@pytest.mark.parametrize("text", [TEXT4, TEXT6])
def test_a_lease_that_is_over_is_not_put_back(text: str) -> None:
    rig, clock, key = lease(text, Lifetime(300, 200))
    clock.wait(300.0)
    rig.enforce(Intent())
    assert rig.kernel.standing(key) == ()
    assert not rig.host.ledger.displaced
    assert not rig.host.ledger.troubles


@pytest.mark.parametrize("text", [TEXT4, TEXT6])
def test_a_lease_of_another_boot_is_not_put_back(text: str) -> None:
    rig, clock, key = lease(text, Lifetime(300, 200))
    clock.now = BootTime("of tomorrow", 55.0)
    rig.enforce(Intent())
    assert rig.kernel.standing(key) == ()


def test_a_lease_whose_time_could_not_be_seen_is_not_put_back_for_ever() -> None:
    kernel, key = a_host(), address_key(TEXT4, 1)
    assert kernel.request(Verb.ADD, key, AddressValue(0, label="v0", dynamic=True)) == 0
    rig = Rig(kernel)
    rig.start(an_address(TEXT4))
    rig.enforce(Intent())
    assert kernel.standing(key) == ()


@pytest.mark.parametrize(
    ("left", "after", "expected"),
    [
        (Lifetime(300, 200), 10.4, Lifetime(290, 190)),
        (Lifetime(300, 5), 10.0, Lifetime(290, 0)),
        (Lifetime(FOREVER, 200), 1000.0, Lifetime(FOREVER, 0)),
        (Lifetime(300), 299.0, Lifetime(1)),
        (Lifetime(300), 300.0, None),
    ],
)
def test_what_is_left_is_less_by_what_has_passed(left: Lifetime, after: float, expected: Lifetime | None) -> None:
    one = Passing(None, *left, BOOT, 50.0)
    assert one.find_left(BootTime(BOOT, 50.0 + after)) == expected
    assert one.find_left(BootTime("", 50.0)) is None


def test_what_cannot_be_put_back_for_want_of_memory_lets_ours_go_after_a_while() -> None:
    rig, _, key = lease(TEXT4, Lifetime(3000, 3000))
    rig.kernel.mischief.refuse = lambda operation, _: ENOMEM if operation.verb is Verb.REPLACE else 0
    rig.enforce(Intent())
    assert rig.host.ledger.displaced
    rig.run(120.0)
    assert rig.kernel.standing(key) == ()
    assert not rig.host.ledger.displaced


def test_what_is_left_over_since_the_kernel_did_not_let_it_go_is_a_failure_and_in_the_headline() -> None:
    rig = Rig(a_host())
    rig.start(an_address(TEXT4))
    rig.kernel.mischief.refuse = lambda operation, _: EPERM if operation.verb is Verb.DELETE else 0
    rig.host.enforce(Intent(), rig.now)
    request = rig.engine.ask(Request(Dirt(everything=Cause(None, Look.RELOAD))))
    rig.run()
    result = describe_result(rig.host, request, 2)
    assert [(one["entry"], one["object"]) for one in result["failures"]] == [("", f"address {TEXT4} dev v0")]
    assert judge(result) is Exit.FAILED
    assert summarise(rig.host, 2) == "revision 2 in force: 0 objects in sync, 1 left over"
    assert note_stopped(False, count_leftovers(rig.host)).message == (
        "routed stopped; its objects were removed, but 1 object could not be"
    )
