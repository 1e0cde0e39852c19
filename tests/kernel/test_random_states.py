"""Random files and random drifts on the real kernel: what `ip -j` showed before it shows again, and that is all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, takewhile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.core.dirt import Dirt
from routed.daemon.dataplane import Dataplanes
from routed.daemon.engine import Engine, Request
from routed.daemon.host import Host
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Report
from routed.daemon.wanted import Wanted
from routed.kernel.kernel import Kernel
from routed.kernel.sockets import EVENT_BUFFER
from routed.model.change import Cause
from routed.model.entries import Entry, HopSpec, Intent, Settings
from routed.model.reasons import Look
from tests.kernel.netns import ip_batch, ip_json, private_network, veth, wait_until
from tests.property.rig import a_route, a_rule, an_address, via
from tests.property.worlds import files, numbered

SETTINGS = Settings(resync=1e9, fight_limit=None, protocols=frozenset({200}))
OURS = {"114", "200"}
NUMBERS = (0, 0, 200)  # of the entries
PATIENCE = 70.0  # seconds of the clock of these tests: the longest time to the next try
HOME = (
    "addr replace 192.0.2.1/24 dev v0", "addr replace fd00::1/64 dev v0 nodad",
    "addr replace 198.51.100.1/24 dev v1", "addr replace fd01::1/64 dev v1 nodad", "addr replace 10.88.0.1/32 dev v0",
)  # fmt: skip
STRANGERS = (
    "route add 10.99.0.0/16 dev v0 proto static", "route add blackhole 10.1.0.0/16 metric 700 proto bird",
    "route add blackhole 2001:db8:1::/48 metric 700 proto static", "rule add priority 900 from 10.9.0.0/16 lookup 77",
    "route add blackhole 10.200.0.0/24 table 77 proto static",
    "route add 2001:db8:1::/48 from 2001:db8:a::/48 dev v0 proto babel",
    "route add blackhole 2001:db8:2::/48 from 2001:db8:a::/48 proto babel",
)  # fmt: skip


class Keeper:
    """The reconciler on the namespace of this thread, with a clock that runs ahead as far as something is due."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.now = 1000.0
        self.host = Host(Wanted(Intent(SETTINGS)))
        reconciler = Reconciler(kernel, Dataplanes(kernel), self.host, lambda: self.now)
        self.engine = Engine(reconciler)
        reconciler.begin()

    def enforce(self, entries: tuple[Entry, ...]) -> list[Report]:
        """A reload, with the guard's leave."""
        dirt = Dirt(everything=Cause(None, Look.RELOAD))
        self.engine.ask(Request(dirt, lambda: self.host.enforce(Intent(SETTINGS, entries), self.now), is_forced=True))
        return [step for step in self.engine.run() if isinstance(step, Report)]

    def work(self) -> None:
        """Take in what the kernel told, and do what is due within the next minute."""
        end = self.now + PATIENCE
        while self.now <= end:
            self.engine.hear()
            for _ in self.engine.run():
                pass
            due = self.engine.find_due()
            self.now = end + 1 if due is None else max(self.now, due)

    def brings_back(self, wanted: list[str]) -> bool:
        """Is ours as it was, after all that is due now?"""
        self.work()
        return ours_and_theirs()[0] == wanted


@contextmanager
def a_keeper(event_buffer: int = EVENT_BUFFER) -> Iterator[Keeper]:
    """In a network of its own, with what an operator finds there."""
    with private_network():
        for name in ("v0", "v1"):
            veth(name)
        ip_batch("\n".join((*HOME, *STRANGERS, "")))
        with Kernel(event_buffer=event_buffer) as kernel:
            kernel.open_events()
            yield Keeper(kernel)


def ours_and_theirs() -> tuple[list[str], list[str]]:
    """Routes, rules and addresses as `ip -j` shows them, ours first under each key, in order; those of strangers."""
    routes = [r for family in "46" for r in ip_json(f"-{family} route show table all") if r["protocol"] != "2"]
    rules = [r | {"family": family} for family in "46" for r in ip_json(f"-{family} rule show")]
    ours: list[Any] = []
    for _, aliases in groupby(sorted(routes, key=_key_of), key=_key_of):
        standing = list(aliases)
        mine = list(takewhile(lambda one: one["protocol"] in OURS, standing))
        assert OURS.isdisjoint(other["protocol"] for other in standing[len(mine) :]), f"ours stands behind {standing}"
        ours += [[_plain(one) for one in mine]] if mine else []
    ours += [rule for rule in rules if rule["protocol"] in OURS]
    everywhere = [address["local"] for link in ip_json("addr show") for address in link["addr_info"]]
    addresses = [address for address in everywhere if not address.startswith("fe80:")]
    theirs = [_plain(r) for r in routes if r["protocol"] not in OURS] + [r for r in rules if r["protocol"] not in OURS]
    return sorted(map(str, [*ours, *addresses])), sorted(map(str, theirs))


def _key_of(route: dict[str, Any]) -> str:
    return " ".join(str(route.get(part, "")) for part in ("dst", "from", "table", "metric", "tos"))


def _plain(route: dict[str, Any]) -> dict[str, Any]:
    """Without the state of links, and with legs in an order."""
    legs = [{name: value for name, value in leg.items() if name != "flags"} for leg in route.get("nexthops", [])]
    hops = sorted(map(str, legs))
    return {name: value for name, value in route.items() if name not in {"flags", "nexthops"}} | {"hops": hops}


V4 = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.1.0.0/16 metric 50", "10.200.3.0/24 table 120")
V6 = ("2001:db8:1::/48", "2001:db8:2::/48", "2001:db8:2::/48 from 2001:db8:b::/48")
V4_SHAPES = ("via 192.0.2.9", "dev v1", "via 198.51.100.2 mtu 1300", "nexthop via 192.0.2.2 nexthop via 198.51.100.7")
V6_SHAPES = ("via fd00::9", "dev v0", "via fd01::2 mtu 1300", "nexthop via fd00::2 nexthop via fd01::7")
WHOLE = (
    "route flush proto 114", "-6 route flush proto 114", "route flush table 120", "rule del priority 1200",
    "-6 rule del priority 1200", "rule del priority 1300", "addr del 10.20.0.11/21 dev v0", "addr flush dev v0",
    "addr del 2001:db8:20::1/64 dev v1", "addr del 198.51.100.1/24 dev v1", "-6 addr flush dev v1",
    "link set v0 down", "link set v0 up", "link set v1 down", "link set v1 up", "link set v0p down", "link set v0p up",
    "rule add priority 1200 lookup 120 protocol static", "route flush proto 200",
)  # fmt: skip


def deeds() -> st.SearchStrategy[str]:
    """One line for `ip -batch`: anything that a stranger may do to the objects of these files."""

    def of(family: str, keys: tuple[str, ...], shapes: tuple[str, ...]) -> st.SearchStrategy[str]:
        put = st.builds(
            lambda verb, key, protocol, shape: f"{family}route {verb} {key} proto {protocol} {shape}",
            st.sampled_from(["add", "replace", "prepend", "append"]),
            st.sampled_from(keys),
            st.sampled_from(["static", "114", "200"]),
            st.sampled_from(shapes),
        )
        other = st.builds(
            lambda verb, type_, key: f"{family}route {verb} {type_} {key} proto static",
            st.sampled_from(["add", "replace", "append"]),
            st.sampled_from(["blackhole", "unreachable"]),
            st.sampled_from(keys),
        )
        return put | other | st.sampled_from(keys).map(lambda key: f"{family}route del {key}")

    return of("", V4, V4_SHAPES) | of("-6 ", V6, V6_SHAPES) | st.sampled_from(WHOLE)


HEALED = ("link set v0 up", "link set v1 up", "link set v0p up", *HOME)


def do(lines: list[str] | tuple[str, ...]) -> None:
    """Have `ip` do it all in this order; what cannot be done is skipped."""
    for is_ipv6, some in groupby(lines, key=lambda line: line.startswith("-6 ")):
        commands = "".join(f"{line.removeprefix('-6 ')}\n" for line in some)
        ip_batch(commands, *(["-6"] if is_ipv6 else []), is_forced=True)


usual = settings().max_examples  # as the profile says
thorough = settings(max_examples=2 * usual, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@given(numbered(files(), NUMBERS), st.lists(st.lists(deeds(), min_size=1, max_size=6), min_size=1, max_size=3))
@thorough
def test_any_drift_of_any_file_is_repaired_and_then_nothing_is_written(
    entries: tuple[Entry, ...], bursts: list[list[str]]
) -> None:
    with a_keeper() as keeper:
        keeper.enforce(entries)
        wanted, _ = ours_and_theirs()

        for burst in bursts:
            do(burst)
            keeper.work()
        do(HEALED)

        wait_until(lambda: keeper.brings_back(wanted), within=2.0)
        written = keeper.kernel.writes
        for report in keeper.enforce(entries):
            assert report.plan.operations == ()
        assert keeper.kernel.writes == written


@given(numbered(files(), NUMBERS), numbered(files(), NUMBERS))
@settings(thorough, max_examples=usual // 2)
def test_one_file_after_another_comes_to_the_same_as_the_other_alone(
    first: tuple[Entry, ...], second: tuple[Entry, ...]
) -> None:
    with a_keeper() as keeper:
        _, strangers = ours_and_theirs()
        keeper.enforce(first)
        keeper.enforce(second)
        after_both = ours_and_theirs()
        assert after_both[1] == strangers
    with a_keeper() as keeper:
        keeper.enforce(second[::-1])
        assert ours_and_theirs() == after_both


def test_ours_is_not_left_where_a_strangers_legs_hide_it_from_dumps_and_from_packets() -> None:
    key = "2001:db8:1::/48"
    with a_keeper() as keeper:
        keeper.enforce((a_route("lan6", key, (HopSpec(dev="v1"),)),))
        wanted, _ = ours_and_theirs()
        do([f"-6 route append blackhole {key} proto static", f"-6 route replace {key} proto static {V6_SHAPES[-1]}"])

        wait_until(lambda: keeper.brings_back(wanted), within=2.0)


def test_a_stale_alias_whose_deletion_would_hit_ours_goes_without_a_fight_against_ourselves() -> None:
    key = "10.3.0.0/16"
    legs = f"{key} proto 114 nexthop via 192.0.2.2 nexthop via 198.51.100.7"
    with a_keeper() as keeper:
        keeper.enforce((a_route("lan", key, (via("192.0.2.2", "v0"),), src="192.0.2.1"),))
        wanted, _ = ours_and_theirs()
        do([f"route append blackhole {key} proto static", f"route append {legs}", f"route del {key} via 192.0.2.2"])
        written = keeper.kernel.writes

        wait_until(lambda: keeper.brings_back(wanted), within=2.0)
        assert keeper.kernel.writes - written < 10


def test_a_tiny_event_buffer_loses_events_and_no_repair() -> None:
    entries = (a_route(), a_route("lan6", "2001:db8::/48"), a_rule(), an_address())
    with a_keeper(event_buffer=4096) as keeper:
        keeper.enforce(entries)
        wanted, _ = ours_and_theirs()
        flood = [f"route add blackhole 172.16.{n // 256}.{n % 256} proto 114" for n in range(50_000)]
        do([*flood, "route flush proto 114", "-6 route flush proto 114", "rule del priority 1200"])
        wait_until(lambda: keeper.brings_back(wanted), within=2.0)
        assert keeper.kernel.overruns > 0
