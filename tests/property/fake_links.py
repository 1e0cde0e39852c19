"""Links that can be created, marked and deleted on the fake kernel, as net/core/rtnetlink.c does it."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, ENODEV
from typing import TYPE_CHECKING

from routed.model.change import Verb
from routed.model.events import KERNEL, ObjectEvent
from routed.model.facts import Link
from routed.model.objects import Key, Kind, LinkMember, LinkSlot, LinkValue, Standing

if TYPE_CHECKING:
    from tests.property.fake_kernel import FakeKernel


def list_links(kernel: FakeKernel) -> Iterator[Standing]:
    """Every link as an object."""
    for ifindex, link in kernel.links.items():
        yield Standing(
            LinkSlot(), LinkMember(link.name), LinkValue(kernel.marks.get(ifindex, 0), link.kind, link.is_up)
        )


def tell_of_link(kernel: FakeKernel, link: Link, *, is_removal: bool = False) -> None:
    """The second half of a link's message. Who asked for it is not told (rtmsg_ifinfo mostly passes port 0)."""
    value = LinkValue(kernel.marks.get(link.ifindex, 0), link.kind, link.is_up)
    event = ObjectEvent(
        Kind.LINK, LinkSlot(), (LinkMember(link.name),), value, is_removal, is_replacement=False, is_addition=False,
        port=KERNEL,
    )  # fmt: skip
    kernel.tell(event)


def insert_link(kernel: FakeKernel, verb: Verb | str, key: Key, value: LinkValue, _port: int) -> int:
    """RTM_NEWLINK: create and mark, or change in place."""
    assert isinstance(key.member, LinkMember)
    standing = _find(kernel, key.member.name)
    if standing is None and verb is Verb.REPLACE:
        return ENODEV
    if standing is not None and verb is Verb.ADD:
        return EEXIST
    ifindex = standing.ifindex if standing else kernel.make_link(key.member.name, kind=value.kind, is_up=value.is_up)
    if value.protocol:
        kernel.marks[ifindex] = value.protocol
    if standing is None or standing.is_up == value.is_up:
        kernel.change_link(ifindex)
    else:
        (kernel.set_up if value.is_up else kernel.set_down)(ifindex)
    return 0


def delete_link(kernel: FakeKernel, key: Key, _value: LinkValue, _port: int) -> int:
    """RTM_DELLINK by name."""
    assert isinstance(key.member, LinkMember)
    standing = _find(kernel, key.member.name)
    if standing is None:
        return ENODEV
    kernel.delete_link(standing.ifindex)
    return 0


def _find(kernel: FakeKernel, name: str) -> Link | None:
    return next((link for link in kernel.links.values() if link.name == name), None)
