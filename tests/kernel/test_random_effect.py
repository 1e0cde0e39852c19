"""Random worlds on the real kernel: an entry is shadowed if, and only if, `ip route get` of its addresses says so.

The worlds are of few addresses, so that each of them is looked up, and not only those that routed asks about.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel.netns import ip_batch
from tests.kernel.test_random_states import Keeper, a_keeper
from tests.property.rig import a_route, route_key, via

OURS: Final = "114"
LINES: Final = st.sampled_from(
    ["", "lookup 52", "not fwmark 7 lookup 52", "fwmark 7 lookup 52", "lookup main suppress_prefixlength 0"]
)


class Family(NamedTuple):
    """The same worlds in a family of addresses."""

    option: str
    whole: str
    wide: tuple[str, ...]
    gateway: str

    @property
    def pieces(self) -> list[str]:
        """The prefix, its halves and its quarters."""
        whole = ip_network(self.whole)
        return [str(piece) for more in range(3) for piece in whole.subnets(prefixlen_diff=more)]


FAMILIES = [
    pytest.param(Family("-4", "10.64.0.0/28", ("10.0.0.0/8", "default"), "192.0.2.2"), id="IPv4"),
    pytest.param(Family("-6", "2001:db8:64::/124", ("2001:db8::/32", "default"), "fd00::2"), id="IPv6"),
]


def worlds(family: Family) -> st.SearchStrategy[tuple[list[str], list[str], list[str]]]:
    """What is wanted, and the routes and rules of strangers as `ip` takes them."""
    route = st.builds(
        "route add {} {} table {} metric {}".format,
        st.sampled_from(["", "unreachable"]),
        st.sampled_from([*family.pieces, *family.wide]),
        st.sampled_from(["main", "52"]),
        st.sampled_from([1, 40, 90]),
    )
    on_link = route.map(lambda line: line if "unreachable" in line else f"{line} dev v1")
    rule = st.builds(
        lambda priority, line: line and f"rule add pref {priority} {line}", st.sampled_from([10, 99]), LINES
    )
    wanted = st.lists(st.sampled_from(family.pieces), min_size=1, max_size=2, unique=True)
    return st.tuples(wanted, st.lists(on_link, max_size=4, unique=True), st.lists(rule, max_size=2, unique=True))


def look_up(family: Family, prefix: str) -> list[dict[str, Any] | None]:
    """The route for each address of a prefix, as the kernel chooses it; None of what is dropped."""
    found: list[dict[str, Any] | None] = []
    for address in ip_network(prefix):
        command = ["ip", family.option, "-j", "-d", "-N", "route", "get", "fibmatch", str(address)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found.append(json.loads(done.stdout)[0] if done.returncode == 0 else None)
    return found


def clean_up(family: Family) -> None:
    for line in ("route flush table 52", f"route flush root {family.whole}", "route flush exact default"):
        ip_batch(line, family.option, is_forced=True)
    for wide in family.wide:
        ip_batch(f"route flush exact {wide}\n", family.option, is_forced=True)
    ip_batch("rule del pref 10\nrule del pref 99\n" * 2, family.option, is_forced=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_route_is_shadowed_where_one_route_of_another_takes_all_and_only_where_it_takes_nothing_itself(
    family: Family,
) -> None:
    with a_keeper() as keeper:

        @given(worlds(family))
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        def is_so(world: tuple[list[str], list[str], list[str]]) -> None:
            wanted, routes, rules = world
            try:
                assert_truth(family, keeper, wanted, [*routes, *filter(None, rules)])
            finally:
                clean_up(family)

        is_so()


def assert_truth(family: Family, keeper: Keeper, wanted: list[str], strangers: list[str]) -> None:
    ip_batch("".join(f"{line}\n" for line in strangers), family.option, is_forced=True)
    keeper.enforce(tuple(a_route(to, to, (via(family.gateway, "v0"),), metric=50) for to in wanted))
    for to in wanted:
        key = route_key(to, metric=50)
        if key in keeper.host.ledger.troubles:
            continue
        winners = look_up(family, to)
        is_shadowed = key in keeper.host.ledger.shadowed
        own = [one for one in winners if one is not None and one["protocol"] == OURS]
        if is_shadowed:
            assert all(ip_network(one["dst"]).prefixlen > ip_network(to).prefixlen for one in own), (to, strangers)
        elif len({str(one) for one in winners}) == 1 and winners[0] is not None:
            assert own, (to, strangers)
