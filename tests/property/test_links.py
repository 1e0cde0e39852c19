"""A link that the file has routed create, whatever strangers do to it, in any order and with any loss of events."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from routed.model.entries import HeldVipEntry, Intent, LinkEntry
from routed.model.events import Event
from routed.model.net import parse_address
from routed.model.objects import LinkMember, LinkValue
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import ORIGIN, OURS, Rig, a_host
from tests.property.test_invariants import WITH_RESYNC

LINK = LinkEntry(name="link/routed0", origin=ORIGIN, link="routed0", kind="dummy")
VIP = HeldVipEntry(
    name="vip/web", origin=ORIGIN, address=parse_address("192.0.2.80"), prefixlen=32, dev="routed0", create="dummy"
)
MADE = LinkMember("routed0"), LinkValue(OURS, "dummy")


def _on(deed: Callable[[FakeKernel, int], None]) -> Callable[[FakeKernel], None]:
    def do(kernel: FakeKernel) -> None:
        for link in list(kernel.links.values()):
            if link.kind == "dummy":
                deed(kernel, link.ifindex)

    return do


DEEDS: dict[str, Callable[[FakeKernel], None]] = {
    "delete": _on(lambda kernel, ifindex: kernel.delete_link(ifindex)),
    "down": _on(lambda kernel, ifindex: kernel.set_down(ifindex)),
    "up": _on(lambda kernel, ifindex: kernel.set_up(ifindex)),
    "rename": _on(lambda kernel, ifindex: kernel.change_link(ifindex, name="other")),
}


@given(st.lists(st.sampled_from(sorted(DEEDS))), st.lists(st.booleans()))
@settings(max_examples=60)
def test_it_is_there_again_with_what_stands_on_it(deeds: list[str], losses: list[bool]) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(LINK, VIP, settings=WITH_RESYNC)
    fates = iter(losses)

    def lose(events: list[Event]) -> list[Event]:
        return [event for event in events if not next(fates, False)]

    kernel.mischief.deliver = lose
    for deed in deeds:
        DEEDS[deed](kernel)
        rig.run()
    kernel.mischief.deliver = list
    rig.resync()
    dummies = [(member, value) for _, member, value in kernel.list_links() if value.kind == "dummy"]
    assert dummies == [MADE]
    (link,) = [link for link in kernel.links.values() if link.name == "routed0"]
    assert [member.dev for member in kernel.addresses() if member.address == VIP.address] == [link.ifindex]
    writes = kernel.writes
    rig.resync()
    assert kernel.writes == writes


def test_it_goes_with_the_last_entry_that_wants_it_and_a_strangers_stays() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(LINK, VIP, settings=WITH_RESYNC)
    rig.enforce(Intent(WITH_RESYNC))
    assert [value.kind for _, _, value in kernel.list_links() if value.kind == "dummy"] == []
    kernel.make_link("routed0", kind="dummy", is_up=False)
    rig.enforce(Intent(WITH_RESYNC, (LINK, VIP)))
    assert [value for _, _, value in kernel.list_links() if value.kind == "dummy"] == [LinkValue(0, "dummy")]
    rig.enforce(Intent(WITH_RESYNC))
    assert [value for _, _, value in kernel.list_links() if value.kind == "dummy"] == [LinkValue(0, "dummy")]
