"""An address that a process took away is put back before the host is asked what that changed: the answer is nothing."""

from __future__ import annotations

import pytest

from routed.model.change import Verb
from routed.model.entries import Settings
from routed.model.events import KERNEL
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import Rig, a_host, a_route, address_key, an_address, route_key, via

LONG = Settings(resync=1e9)
OURS = ("10.20.0.11/21", "10.20.0.12/21")


class Diary:
    """What the kernel is asked, in turn, from now on."""

    def __init__(self, kernel: FakeKernel) -> None:
        self.lines: list[str] = []
        inspect = kernel.inspect

        def note(call: str) -> None:
            if call in {"read_dump", "read_links"}:
                self.lines.append("read")

        def see(verb: Verb, key: object, value: object) -> None:
            self.lines.append(f"{verb} {'address' if key in keys(kernel) else 'other'}")
            inspect(verb, key, value)  # type: ignore[arg-type]

        kernel.mischief.fail = note
        kernel.inspect = see


def keys(kernel: FakeKernel) -> set[object]:
    return {address_key(text, dev_of(kernel)) for text in OURS}


def dev_of(kernel: FakeKernel) -> int:
    return next(index for index, link in kernel.links.items() if link.name == "v0")


def a_rig() -> Rig:
    rig = Rig(a_host())
    rig.start(
        *(an_address(text, name=text.partition("/")[0]) for text in OURS),
        a_route(hops=(via("192.0.2.2", dev="v0"),)),
        settings=LONG,
    )
    return rig


def take(rig: Rig, text: str, port: int) -> None:
    key = address_key(text, dev_of(rig.kernel))
    assert rig.kernel.request(Verb.DELETE, key, rig.kernel.standing(key)[0], port) == 0


def test_it_comes_before_every_question() -> None:
    rig = a_rig()
    diary = Diary(rig.kernel)
    take(rig, OURS[1], STRANGER)
    [outcome, *_] = [outcome for report in rig.run(1.0) for outcome in report.outcomes]
    assert (outcome.operation.verb, outcome.cause.port) == (Verb.ADD, STRANGER)
    assert diary.lines[0] == f"{Verb.ADD} address"
    assert "read" in diary.lines  # what may have gone with it in silence is looked at all the same


def test_what_went_with_it_in_silence_comes_back_too() -> None:
    rig = a_rig()
    rig.kernel.promotes_secondaries = False  # so that the second goes with the first, and is told
    take(rig, OURS[0], STRANGER)
    rig.run(1.0)
    assert all(rig.kernel.standing(address_key(text, dev_of(rig.kernel))) for text in OURS)
    assert rig.kernel.standing(route_key())
    assert rig.plan_is_empty()


def test_of_what_the_kernel_took_the_host_is_asked_first() -> None:
    rig = a_rig()
    diary = Diary(rig.kernel)
    take(rig, OURS[1], KERNEL)
    rig.run(1.0)
    assert diary.lines[0] == "read"
    assert rig.kernel.standing(address_key(OURS[1], dev_of(rig.kernel)))


def test_when_its_link_went_down_too_the_host_is_asked_first() -> None:
    rig = a_rig()
    diary = Diary(rig.kernel)
    take(rig, OURS[1], STRANGER)
    rig.kernel.set_down(dev_of(rig.kernel))
    rig.run(1.0)
    assert diary.lines[0] == "read"


@pytest.mark.parametrize("what", ["address", ""])
def test_a_pause_keeps_it_back(what: str) -> None:
    rig = a_rig()
    rig.host.ledger.holds.pause(f"address/{OURS[1].partition('/')[0]}" if what else "", "", 1e9, rig.now)
    take(rig, OURS[1], STRANGER)
    rig.run(1.0)
    assert rig.kernel.standing(address_key(OURS[1], dev_of(rig.kernel))) == ()
