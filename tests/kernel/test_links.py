"""Links that routed makes, on the real kernel. It stands in a bridge, since not every kernel has the dummy driver."""

from __future__ import annotations

from errno import EOPNOTSUPP

import pytest

from routed.kernel.codec import link as codec
from routed.kernel.kernel import Kernel
from routed.model.change import Verb
from routed.model.events import LinkEvent, ObjectEvent
from routed.model.objects import Kind, LinkMember, LinkSlot, LinkValue, Scope, Standing
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json
from tests.kernel.objects import OURS, do, read

LINKS = Scope(Kind.LINK, 0)
MADE = Standing(LinkSlot(), LinkMember("routed0"), LinkValue(OURS, "bridge"))


@pytest.fixture(autouse=True)
def _bridges_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "CREATABLE", frozenset({"bridge"}))


def test_a_link_is_made_brought_up_and_marked(network: Network, kernel: Kernel) -> None:
    assert do(kernel, Verb.ADD, MADE) == []
    (link,) = ip_json("link show routed0")
    assert (link["linkinfo"]["info_kind"], link["ifalias"]) == ("bridge", "routed:114")
    assert "UP" in link["flags"]
    assert MADE in read(kernel, LINKS)


def test_a_link_that_is_there_is_not_made_twice(network: Network, kernel: Kernel) -> None:
    ip("link add routed0 type bridge")
    (failure,) = do(kernel, Verb.ADD, MADE)
    assert failure.text == "File exists"
    assert "ifalias" not in ip_json("link show routed0")[0]


def test_one_of_ours_is_brought_up_again(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, MADE)
    ip("link set routed0 down")
    assert do(kernel, Verb.REPLACE, MADE) == []
    assert MADE in read(kernel, LINKS)


def test_one_of_ours_is_made_anew_in_one_step(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, MADE)
    before = ip_json("link show routed0")[0]["ifindex"]
    assert do(kernel, Verb.CHANGE, MADE) == []
    assert ip_json("link show routed0")[0]["ifindex"] != before
    assert MADE in read(kernel, LINKS)


def test_a_strangers_link_is_brought_up_without_our_mark(network: Network, kernel: Kernel) -> None:
    ip("link add routed0 type bridge")
    ip("link set routed0 alias uplink")
    theirs = MADE._replace(value=LinkValue(0, "bridge"))
    assert do(kernel, Verb.REPLACE, theirs) == []
    assert ip_json("link show routed0")[0]["ifalias"] == "uplink"
    assert theirs in read(kernel, LINKS)


def test_a_link_goes_by_its_name_and_a_second_time_is_no_failure(network: Network, kernel: Kernel) -> None:
    do(kernel, Verb.ADD, MADE)
    assert do(kernel, Verb.DELETE, MADE) == []
    assert do(kernel, Verb.DELETE, MADE) == []
    assert MADE.member not in [standing.member for standing in read(kernel, LINKS)]


def test_a_kind_that_the_kernel_does_not_have_fails_once_and_says_what_to_look_for(
    network: Network, kernel: Kernel
) -> None:
    (failure,) = do(kernel, Verb.ADD, MADE._replace(value=LinkValue(OURS, "nonesuch")))
    assert failure.errno == EOPNOTSUPP
    assert (
        failure.text
        == "Unknown device type: this kernel has no driver for links of kind nonesuch (modprobe nonesuch says more)"
    )


def test_an_alias_marks_only_kinds_that_routed_makes(network: Network, kernel: Kernel) -> None:
    ip("link set v0 alias routed:114")
    values = {standing.member: standing.value for standing in read(kernel, LINKS)}
    assert values[LinkMember("v0")] == LinkValue(0, "veth")


@pytest.mark.parametrize("alias", ["routed:", "routed:x", "routed:256", "routed:-1", "uplink", "routed"])
def test_an_alias_of_another_form_marks_nothing(network: Network, kernel: Kernel, alias: str) -> None:
    ip("link add routed0 type bridge")
    ip(f"link set routed0 alias {alias}")
    values = {standing.member: standing.value for standing in read(kernel, LINKS)}
    assert values[LinkMember("routed0")].protocol == 0


def test_a_link_is_told_as_a_fact_and_as_an_object(network: Network, kernel: Kernel) -> None:
    kernel.open_events()
    ip("link add routed0 up type bridge")
    ip("link set routed0 alias routed:114")  # of a link that is down nobody would hear
    told = [event for event in kernel.read_events() if isinstance(event, LinkEvent | ObjectEvent)]
    last = [event for event in told if isinstance(event, ObjectEvent) and event.kind is Kind.LINK][-1]
    assert (last.members, last.value) == ((MADE.member,), LinkValue(OURS, "bridge"))
    assert any(isinstance(event, LinkEvent) and event.link.name == "routed0" for event in told)
