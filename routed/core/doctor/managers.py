"""Network managers that take away what is not theirs: systemd-networkd and NetworkManager.

Sources: networkd.conf(5), systemd.network(5), NetworkManager.conf(5), nm-settings-keyfile(5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from routed.core.desired import links_of
from routed.core.doctor.patient import Patient
from routed.model import names
from routed.model.diagnosis import Ailment, Diagnosis, Setting
from routed.model.objects import AddressMember, Kind, RouteSlot

_FALSE: Final = frozenset({"no", "false", "off", "0", "n", "f"})  # parse_boolean of systemd
_KEEPS_ADDRESSES: Final = frozenset({"yes", "true", "on", "1", "y", "t", "static"})
_SWITCHES: Final = {
    Ailment.NETWORKD_ROUTES: "ManageForeignRoutes",
    Ailment.NETWORKD_RULES: "ManageForeignRoutingPolicyRules",
}


def examine_networkd(patient: Patient) -> Iterator[Diagnosis]:
    """What it removes when it starts, or configures a link anew."""
    state = patient.networkd
    if state is None:
        return
    victims = {
        Ailment.NETWORKD_ROUTES: next(_find_routes(patient, state.managed), ""),
        Ailment.NETWORKD_RULES: next((entry.name for entry, _ in patient.list_wanted(Kind.RULE)), ""),
    }
    for ailment, entry in victims.items():
        setting = _find_last(state.settings, "Network", _SWITCHES[ailment])
        if entry and not (setting and setting.value.lower() in _FALSE):
            details = {"key": _SWITCHES[ailment], "setting": setting, "drop_in": state.drop_in}
            yield Diagnosis(ailment, entry, details)
    for entry, link in _find_addresses(patient, state.managed):
        setting = _find_last(state.links.get(link, ()), "Network", "KeepConfiguration")
        if not (setting and setting.value.lower() in _KEEPS_ADDRESSES):
            details = {"link": link, "file": state.managed[link], "setting": setting}
            yield Diagnosis(Ailment.NETWORKD_ADDRESSES, entry, details)


def examine_manager(patient: Patient) -> Iterator[Diagnosis]:
    """What NetworkManager removes on its own devices."""
    state = patient.manager
    if state is None:
        return
    told = set()
    in_main = _find_victims(patient, state.managed, lambda slot: slot.table == names.TABLE_MAIN)
    for entry, link in [*in_main, *_find_addresses(patient, state.managed)]:
        if link not in told:
            told.add(link)
            details = {"link": link, "how": state.managed[link], "drop_in": state.drop_in}
            yield Diagnosis(Ailment.MANAGER_ROUTES, entry, details)
    in_others = next(_find_victims(patient, state.managed, lambda slot: slot.table != names.TABLE_MAIN), None)
    for profile in state.profiles if in_others else ():
        assert in_others is not None
        yield Diagnosis(Ailment.MANAGER_TABLES, in_others[0], {"profile": profile, "setting": profile.setting})


def _find_last(settings: Iterable[Setting], section: str, key: str) -> Setting | None:
    """The one that counts."""
    found = [one for one in settings if (one.section, one.key) == (section, key)]
    return found[-1] if found else None


def _find_routes(patient: Patient, managed: Iterable[str]) -> Iterator[str]:
    """Entries with routes on links that it configures, or on none, which it takes for those of any link."""
    managed = set(managed)
    for entry, group in patient.list_wanted(Kind.ROUTE):
        links = {patient.facts.name_of(dev) for dev in links_of(group)}
        if managed and (links & managed or len(links) != 1):
            yield entry.name


def _find_victims(
    patient: Patient, managed: Iterable[str], is_meant: Callable[[RouteSlot], bool]
) -> Iterator[tuple[str, str]]:
    managed = set(managed)
    for entry, group in patient.list_wanted(Kind.ROUTE):
        assert isinstance(group.slot, RouteSlot)
        if is_meant(group.slot):
            yield from ((entry.name, link) for link in _names(patient, links_of(group)) if link in managed)


def _find_addresses(patient: Patient, managed: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Entries with addresses on links that it configures, each link once."""
    managed, told = set(managed), set()
    for entry, group in patient.list_wanted(Kind.ADDRESS):
        for member in group.members:
            assert isinstance(member, AddressMember)
            link = patient.facts.name_of(member.dev)
            if link in managed and link not in told:
                told.add(link)
                yield entry.name, link


def _names(patient: Patient, devs: Iterable[int]) -> list[str]:
    return [patient.facts.name_of(dev) for dev in devs]
