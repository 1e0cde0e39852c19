"""What a change costs beside many services: in requests, which is what the kernel and its clients feel."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from socket import AF_INET
from struct import pack
from typing import NamedTuple

import pytest

from routed.model import ipvs
from routed.model.entries import Intent, Listen, ServiceEntry, Settings
from tests.property import rig
from tests.property.rig import ORIGIN
from tests.property.test_services import (
    GET_DEST,
    GET_SERVICE,
    NEW_DEST,
    ONE,
    PORT,
    SET_DEST,
    SET_SERVICE,
    TWO,
    Scene,
    server,
)

TEN, FEW, MANY = 10, 100, 10_000
SERVERS = server(ONE), server(TWO)


class Cost(NamedTuple):
    """What was asked of IPVS."""

    commands: Counter[int]
    datagrams: int
    looks: int  # at its table in /proc


class Costs(NamedTuple):
    """Of one host."""

    of_nothing: Cost  # for half a minute
    of_a_weight: Cost  # in the file, in ten services
    of_a_scheduler: Cost  # likewise
    of_a_stranger: Cost  # who changes one server of ten services and deletes the other


def entry(name: str, first: int, past: int) -> ServiceEntry:
    numbers = range(first, past)
    listens = tuple(Listen(ipvs.TCP, bytes((10, 9, one >> 8, one & 255)), PORT) for one in numbers)
    return ServiceEntry(name=f"service/{name}", origin=ORIGIN, listens=listens, scheduler="rr", servers=SERVERS)


def measure(folder: Path, count: int) -> Costs:
    """Of a host with so many services, ten of which change."""
    scene = Scene(folder)
    scene.peer.piece = 100
    ten, others = [entry(str(one), one, one + 1) for one in range(TEN)], entry("others", TEN, count)
    scene.rig.start(*ten, others)

    def put(entries: list[ServiceEntry]) -> None:
        scene.rig.enforce(Intent(Settings(), (*entries, others)))

    def take() -> Cost:
        cost = Cost(Counter(scene.peer.asked), scene.peer.datagrams, scene.peer.looks)
        scene.peer.asked.clear()
        scene.peer.datagrams = scene.peer.looks = 0
        return cost

    take()
    scene.rig.run(30.0)
    of_nothing = take()
    put([replace(one, servers=(server(ONE, weight=7), server(TWO))) for one in ten])
    of_a_weight = take()
    put([replace(one, scheduler="dh") for one in ten])
    of_a_scheduler = take()
    for service in list(scene.peer.services.values())[:TEN]:
        service.dests[int(AF_INET), ONE, PORT][4] = pack("=I", 9)
        del service.dests[int(AF_INET), TWO, PORT]
    scene.rig.run(5.1)
    of_a_stranger = take()
    services = scene.peer.services.values()
    assert len(services) == count
    assert Counter(one.scheduler for one in services) == {"rr": count - TEN, "dh": TEN}
    assert {tuple(values[4] for values in one.dests.values()) for one in services} == {(pack("=I", 1),) * 2}
    return Costs(of_nothing, of_a_weight, of_a_scheduler, of_a_stranger)


def test_a_change_of_ten_services_costs_what_ten_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "MOST_STEPS", 100_000)
    costs = measure(tmp_path / "many", MANY)
    assert costs == measure(tmp_path / "few", FEW)
    assert costs.of_nothing.commands == {}
    assert costs.of_nothing.looks <= 8
    assert costs.of_a_weight.commands == {SET_DEST: TEN, GET_SERVICE: TEN, GET_DEST: TEN}
    assert costs.of_a_scheduler.commands[SET_SERVICE] == TEN
    assert costs.of_a_stranger.commands[SET_DEST] == costs.of_a_stranger.commands[NEW_DEST] == TEN
    for cost in costs:
        assert sum(cost.commands.values()) <= 8 * TEN
        assert cost.datagrams <= 8 * TEN
