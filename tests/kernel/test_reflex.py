"""The reflex of a kernel: a route that went is read from the bytes of its event, and put back as it was."""

from __future__ import annotations

from errno import EEXIST, ENOBUFS
from typing import Any

import pytest

from routed.kernel import apply
from routed.kernel.kernel import Kernel
from routed.model.events import ObjectEvent
from routed.model.objects import Kind, Member, Scope, Value
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json

ROUTES = [
    "192.0.2.0/24 via 10.0.0.2",
    "192.0.2.7 via 10.0.0.2 src 10.0.0.1 metric 77 mtu 1400 table 120",
    "192.0.2.0/24 nexthop via 10.0.0.2 weight 3 nexthop via 10.1.0.2",
    "192.0.2.0/24 dev v0 scope link table 1000",
    "-6 2001:db8:7::/48 via fd00::2",
    "-6 2001:db8:7::1 via fd00::2 dev v0 metric 77 mtu 1400 table 120",
]


def is_simple(_kind: Kind, _member: Member, _value: Value) -> bool:
    return True


@pytest.fixture
def listening(kernel: Kernel) -> Kernel:
    kernel.open_events()
    return kernel


def change(verb: str, text: str) -> str:
    to, _, rest = text.removeprefix("-6 ").partition(" ")
    return ip(f"{family_of(text)}route {verb} {to} proto 114 {rest}")


def show(text: str) -> list[dict[str, Any]]:
    return ip_json(f"{family_of(text)}route show table all proto 114")


def family_of(text: str) -> str:
    return "-6 " if text.startswith("-6") else ""


@pytest.mark.parametrize("text", ROUTES)
def test_a_route_that_went_is_put_back_as_it_was(network: Network, listening: Kernel, text: str) -> None:
    change("add", text)
    before = show(text)
    listening.read_events()
    for _ in range(2):  # the second time its shape is known
        change("del", text)
        assert show(text) == []
        loss = listening.find_loss(is_simple)
        assert loss is not None
        assert listening.put_back(loss) == ()
        assert show(text) == before
        [gone] = listening.read_events()
        assert isinstance(gone, ObjectEvent)
        assert (gone.kind, gone.slot, gone.members, gone.value) == (*loss[:2], (loss.member,), loss.value)
        assert gone.is_removal
        [come] = listening.read_events()
        assert isinstance(come, ObjectEvent)
        assert (come.members, come.value, come.port, come.is_addition) == (
            gone.members,
            gone.value,
            listening.port,
            True,
        )


def test_the_routes_of_one_shape_are_told_apart(network: Network, listening: Kernel) -> None:
    texts = [f"192.0.{number}.0/{24 + number}" for number in range(4)]
    for text in texts:
        change("add", f"{text} via 10.0.0.2")
    before = sorted(map(str, show("")))
    listening.read_events()
    for text in texts:
        change("del", text)
        loss = listening.find_loss(is_simple)
        assert loss is not None
        assert listening.put_back(loss) == ()
        listening.read_events()
        listening.read_events()
    assert sorted(map(str, show(""))) == before


def test_where_something_stands_there_by_now_the_kernel_says_so_and_it_stays(
    network: Network, listening: Kernel
) -> None:
    change("add", ROUTES[0])
    listening.read_events()
    change("del", ROUTES[0])
    loss = listening.find_loss(is_simple)
    assert loss is not None
    ip("route add 192.0.2.0/24 via 10.0.0.9 proto 4")
    [failure] = listening.put_back(loss)
    assert (failure.member, failure.errno) == (loss.member, EEXIST)
    assert [route["gateway"] for route in ip_json("route show 192.0.2.0/24")] == ["10.0.0.9"]


@pytest.mark.parametrize(
    "commands",
    [
        ["route add 192.0.3.0/24 via 10.0.0.2 proto 114"],
        ["route del 192.0.2.0/24", "route add 192.0.3.0/24 via 10.0.0.2 proto 114"],
        ["rule add pref 77 lookup 77"],
        ["addr add 10.0.0.77/24 dev v0"],
        [],
    ],
    ids=["one that came", "more than one", "a rule", "an address", "nothing"],
)
def test_anything_else_is_no_loss_and_none_of_it_is_lost(
    network: Network, listening: Kernel, commands: list[str]
) -> None:
    change("add", ROUTES[0])
    listening.read_events()
    with Kernel() as other:
        other.open_events()
        for command in commands:
            ip(command)
        assert listening.find_loss(is_simple) is None
        assert listening.find_loss(is_simple) is None
        assert list(map(str, listening.read_events())) == list(map(str, other.read_events()))


def test_the_default_route_has_another_layout_and_takes_the_long_way(network: Network, listening: Kernel) -> None:
    change("add", "default via 10.0.0.2")
    listening.read_events()
    change("del", "default via 10.0.0.2")
    assert listening.find_loss(is_simple) is None
    assert len(listening.read_events()) == 1
    assert listening.dump(Scope(Kind.ROUTE, 2, 254, 114)) is not None


def test_where_it_could_not_be_asked_all_that_waits_is_told_next(
    network: Network, listening: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ROUTES[:2]:
        change("add", text)
    listening.read_events()
    change("del", ROUTES[0])
    loss = listening.find_loss(is_simple)
    assert loss is not None
    monkeypatch.setattr(apply, "send_batch", _refuse)
    with pytest.raises(OSError, match="buffer"):
        listening.put_back(loss)
    change("del", ROUTES[1])
    assert len(listening.read_events()) == 2


def _refuse(*_: object, **__: object) -> None:
    raise OSError(ENOBUFS, "No buffer space available")
