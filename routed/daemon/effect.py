"""Questions the kernel what decides: of which objects, and what is remembered of the answers.

On a full pass a few addresses of every entry are asked about, of a large set another part each time; in between those
that overlap with what others put, changed or took away, and what is shadowed already. It comes last in a pass, when
everything is put right. A question that gets no answer changes nothing: what was known stays, and it is asked again.

Here must never live: what an answer means (``core.effect``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from routed.core.desired import Desired, ObjectSet
from routed.core.dirt import Dirt
from routed.core.effect import Rival, StandingRule, View
from routed.core.kinds import KINDS
from routed.core.rivals import Overlap
from routed.core.rules import DEAD_ENDS
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.lookups import Lookups
from routed.daemon.ports import HostKernel
from routed.model.net import family_of, network_of
from routed.model.objects import AlikeRoutes, Key, Kind, Member, RuleSlot, Scope
from routed.model.prefixes import PrefixSet
from routed.model.reasons import Overruled, Reason
from routed.model.text import Vocabulary, format_key, format_object

FEW: Final = 21  # members of a set that are asked about with three addresses each, as an entry of one prefix is
MOST: Final = 64  # members of a larger set that are asked about when others did something …
MORE: Final = 128  # … and on a full pass
SLICE: Final = 32  # questions between two breaths of the loop: a millisecond


def look_at_effect(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, dirt: Dirt, clock: Callable[[], float]
) -> Iterator[None]:
    """Ask what decides in place of ours, where that may have changed."""
    if dirt.rivals is None and dirt.everything is None:
        return
    began = clock()
    if dirt.rivals:
        host.ledger.note_makers(dirt.rivals.causes)
    try:
        yield from _look(kernel, dataplanes, host, dirt, began)
    except OSError:  # what is known stays
        host.schedule.retry_effect(dirt, clock())
    else:
        host.schedule.note_effect(began, clock())


def _look(kernel: HostKernel, dataplanes: Dataplanes, host: Host, dirt: Dirt, now: float) -> Iterator[None]:
    sought = dict(_choose(host, dirt))
    if not sought:
        return
    view = yield from _look_around(kernel, dataplanes, host, {key.slot.family for key in sought})
    lookups = Lookups(kernel, dataplanes, {link.name: link.ifindex for link in host.world.facts.links.values()})
    found: dict[Key, Reason] = {}
    breath = SLICE
    for key, (value, samples) in sought.items():
        ask_about = KINDS[key.kind].ask_about
        assert ask_about is not None
        rival = yield from lookups.drive(ask_about(view, key.slot, key.member, value, samples))
        if rival is not None:
            found[key] = _explain(host, key, rival)
        if lookups.count >= breath:
            breath = lookups.count + SLICE
            yield None
    host.ledger.note_shadowed(sought.keys(), found, now)


def _choose(host: Host, dirt: Dirt) -> Iterator[tuple[Key, tuple[Any, int]]]:
    """The objects that are asked about, each with its content and how many addresses stand for it.

    One in trouble is not in effect anyway. Of a VIP it is the source that counts: see ``core.vip``.
    """
    desired, troubles = host.wanted.desired, host.ledger.troubles
    vips = {vip.name for vip in host.wanted.needs.vips}
    overlaps, restless = _find_overlaps(dirt)
    for name, resolution in desired.resolutions.items():
        if name in vips:
            continue
        for group in resolution.sets:
            if KINDS[group.kind].ask_about is None or group.value is None:
                continue
            if dirt.everything or group.slot.family in restless:
                chosen = _choose_any(host, name, group, MORE if dirt.everything else MOST)
            else:
                overlap = overlaps.get(group.slot.family)
                chosen = _choose_near(host, name, group, overlap) if overlap else ()
            samples = 3 if len(group.members) <= FEW else 1
            for member in chosen:
                key = Key(group.kind, group.slot, member)
                want = desired.get(key)
                if want and want.entry.name == name and key not in troubles:
                    yield key, (group.value, samples)


def _find_overlaps(dirt: Dirt) -> tuple[dict[int, Overlap], Collection[int]]:
    if dirt.rivals is None:
        return {}, ()
    places = dirt.rivals.find_places()
    return {family: Overlap(prefixes) for family, prefixes in places.items()}, dirt.rivals.families


def _choose_any(host: Host, name: str, group: ObjectSet, most: int) -> Iterable[Member]:
    """All of a small set, of a large one another part each time, and what is shadowed."""
    if len(group.members) <= MOST:
        return group.members
    start = host.ledger.take_turn(name, group.slot, most, len(group.members))
    if isinstance(group.members, PrefixSet):
        part: Iterable[Member] = group.members.take(start, start + most)
    else:
        part = islice(group.members, start, start + most)
    return dict.fromkeys([*part, *_find_shadowed(host, group)])


def _choose_near(host: Host, name: str, group: ObjectSet, overlap: Overlap) -> Iterable[Member]:
    """What overlaps with something that others did; of a large set what they named, and a part of the rest."""
    if len(group.members) > MOST:
        named = (place for place in overlap.places if place in group.members)
        return dict.fromkeys([*named, *_choose_any(host, name, group, MOST)])
    find_place = KINDS[group.kind].find_place
    return (member for member in group.members if find_place(group.slot, member) in overlap)


def _find_shadowed(host: Host, group: ObjectSet) -> Iterator[Member]:
    for kind, slot, member in host.ledger.shadowed:
        if (kind, slot) == (group.kind, group.slot) and member in group.members:
            yield member


def _look_around(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, families: Iterable[int]
) -> Generator[None, None, View]:
    """The rules as they stand, and whose they are; what else a question may need."""
    stamps, facts = dataplanes.stamps(host.wanted.marks), host.world.facts
    rules: dict[int, list[StandingRule]] = {}
    for family in families:
        dump = yield from dataplanes.by_kind[Kind.RULE].read_dump(Scope(Kind.RULE, family))
        standings = (one for chunk in dump.chunks() if not isinstance(chunk, AlikeRoutes) for one in chunk)
        found = [StandingRule(one.member, stamps[Kind.RULE](one.value)) for one in standings]  # type: ignore[arg-type]
        rules[family] = sorted(found, key=lambda rule: rule.member.priority)  # equals as they come
    own = {address.address for address in facts.addresses.values()}
    if not own and any(rule.member.source for those in rules.values() for rule in those):
        own = {member.address for member in (yield from kernel.read_addresses())}
    return View(
        rules,
        stamps[Kind.ROUTE],
        own,
        {link.name for link in facts.links.values()},
        lambda address, errno: is_our_dead_end(host.wanted.desired, address, errno),
    )


def is_our_dead_end(desired: Desired, address: bytes, errno: int) -> bool:
    """Is a route wanted that drops packets to this address, with this error?"""
    prefixes = [network_of(address, length) for length in range(len(address) * 8, -1, -1)]
    return any(
        want.value is not None and DEAD_ENDS.get(want.value.type) == errno
        for slot, members in desired.wants[Kind.ROUTE].items()
        if slot.family == family_of(address)
        for prefix in prefixes
        if (want := members.get(prefix)) is not None
    )


def _explain(host: Host, key: Key, rival: Rival) -> Reason:
    vocabulary = Vocabulary.of(host.world.facts, host.wanted.intent.table_names, host.wanted.intent.settings.protocol)
    keys: list[Key] = []
    route = rule = ""
    if rival.route is not None:
        slot, member, value = rival.route
        keys.append(Key(Kind.ROUTE, slot, member))
        route = format_object(keys[0], value, vocabulary)
    if rival.rule is not None:
        keys.append(Key(Kind.RULE, RuleSlot(key.slot.family), rival.rule))
        rule = format_key(keys[-1], vocabulary)
    makers = (host.ledger.find_maker(one) for one in keys)
    maker = next((cause for cause in makers if cause is not None), None)
    return Overruled(route, rule, *((maker.port, maker.process) if maker else ()))
