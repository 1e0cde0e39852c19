"""Whose an object of IPVS is: claims on disk, written before what they are for."""

from __future__ import annotations

from errno import EEXIST, ENOSPC
from itertools import count

import pytest

from routed.kernel.ipvs.claims import ClaimOrigin
from routed.model.change import Verb
from routed.model.objects import Key, Kind
from routed.model.owner import Marks, Owner
from tests.property.ipvs_scene import (
    DNS,
    HERE,
    IN_WEB,
    ONE,
    OURS,
    RR,
    SLOT,
    THREE,
    TWO,
    UP,
    WEB,
    Scene,
)


class Killed(BaseException):
    """kill -9."""


def test_the_stamp_reads_the_number_of_the_claim(web: Scene) -> None:
    stamp = web.ipvs.make_stamp(Kind.SERVICE, Marks(OURS, frozenset({115})))
    assert [stamp(RR._replace(protocol=number)) for number in (OURS, 115, 0)] == [
        Owner.OURS,
        Owner.FORMER,
        Owner.FOREIGN,
    ]


def test_a_difference_from_the_claim_is_drift_and_proves_nothing(web: Scene) -> None:
    stranger = web.stranger()
    stranger.do(Verb.DELETE, SLOT, [WEB], RR)
    stranger.do(Verb.ADD, SLOT, [WEB], RR._replace(scheduler="sh"))
    assert web.services() == {WEB: RR._replace(scheduler="sh")}  # nobody saw it gone: ours, and different


def test_what_was_seen_gone_is_not_ours_when_somebody_else_puts_it(web: Scene) -> None:
    web.peer.clear()
    assert web.services() == {}
    assert web.store.claimed() == {}
    web.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    assert web.services() == {WEB: RR._replace(protocol=0)}


def test_in_a_shared_service_only_the_servers_that_we_made_are_ours(scene: Scene) -> None:
    shared = RR._replace(is_shared=True)
    assert scene.do(Verb.ADD, SLOT, [WEB], shared) == []
    assert scene.do(Verb.ADD, IN_WEB, [ONE], UP) == []
    scene.stranger().do(Verb.ADD, IN_WEB, [TWO], UP)
    assert scene.servers() == {ONE: UP, TWO: UP._replace(protocol=0)}
    assert scene.do(Verb.REPLACE, SLOT, [WEB], RR, shared) == []
    assert scene.servers() == {ONE: UP, TWO: UP}


def test_what_could_not_be_put_is_not_claimed(scene: Scene) -> None:
    scene.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    [failure] = scene.do(Verb.ADD, SLOT, [WEB], RR)
    assert failure.errno == EEXIST
    assert scene.store.claimed() == {}
    assert scene.services() == {WEB: RR._replace(protocol=0)}


def test_what_is_put_for_somebody_else_is_theirs(web: Scene) -> None:
    theirs = RR._replace(protocol=0, scheduler="sh")
    assert web.do(Verb.REPLACE, SLOT, [WEB], theirs, RR) == []
    assert web.services() == {WEB: theirs}
    assert Key(Kind.SERVICE, SLOT, WEB) not in web.store.claimed()


@pytest.mark.parametrize(
    "other", [ClaimOrigin("another boot", HERE.namespace), ClaimOrigin(HERE.boot, "another namespace")]
)
def test_claims_of_another_boot_or_namespace_are_void(web: Scene, other: ClaimOrigin) -> None:
    web.origin = other
    web.start()
    assert web.services() == {WEB: RR._replace(protocol=0)}
    assert web.do(Verb.REPLACE, SLOT, [WEB], RR, RR._replace(protocol=0)) == []
    assert web.store.claimed() == {Key(Kind.SERVICE, SLOT, WEB): RR}


def test_with_a_full_disk_nothing_new_is_sent_and_it_is_said(web: Scene) -> None:
    web.store.is_full = True
    before = dict(web.peer.services)
    for verb, slot, member, value in (
        (Verb.ADD, SLOT, DNS, RR),
        (Verb.REPLACE, SLOT, WEB, RR._replace(protocol=OURS + 1, scheduler="lc")),
        (Verb.ADD, IN_WEB, THREE, UP),
    ):
        [failure] = web.do(verb, slot, [member], value)
        assert failure.errno == ENOSPC
        assert "no claim can be kept: No space left on device" in failure.text
    assert web.peer.asked == []
    assert web.peer.services == before


def test_with_a_full_disk_what_is_ours_already_is_changed_and_stays_ours(web: Scene) -> None:
    web.store.is_full = True
    down = UP._replace(weight=0)
    [failure] = web.do(Verb.REPLACE, IN_WEB, [THREE, ONE], down)
    assert failure.member == THREE
    assert web.servers() == {ONE: down, TWO: UP}
    web.start()  # it was killed meanwhile
    assert web.servers() == {ONE: down, TWO: UP}
    assert web.do(Verb.REPLACE, IN_WEB, [TWO], down) == []
    web.store.is_full = False
    assert web.do(Verb.ADD, SLOT, [DNS], RR) == []
    assert web.store.claimed()[Key(Kind.SERVER, IN_WEB, TWO)] == down  # as soon as there is room


def test_what_was_deleted_on_a_full_disk_is_given_up_as_soon_as_there_is_room(web: Scene) -> None:
    web.store.is_full = True
    assert web.do(Verb.DELETE, IN_WEB, [ONE], UP) == []
    assert web.do(Verb.DELETE, SLOT, [WEB], RR) == []
    web.stranger().do(Verb.ADD, SLOT, [WEB], RR)
    assert web.services() == {WEB: RR._replace(protocol=0)}
    web.store.is_full = False
    assert web.do(Verb.ADD, SLOT, [DNS], RR) == []
    assert web.store.claimed() == {Key(Kind.SERVICE, SLOT, DNS): RR}
    web.start()
    assert web.services() == {WEB: RR._replace(protocol=0), DNS: RR}


@pytest.mark.parametrize("fatal", range(10))
@pytest.mark.parametrize("is_carried_out", [False, True])
def test_a_kill_at_any_request_leaves_nothing_of_ours_without_a_claim(fatal: int, is_carried_out: bool) -> None:
    scene = Scene()
    turns = count()

    def die(*_command: int) -> None:
        if next(turns) == fatal:
            raise Killed

    if is_carried_out:
        scene.peer.after = die
    else:
        scene.peer.before = die
    try:
        scene.do(Verb.ADD, SLOT, [WEB, DNS], RR)
        scene.do(Verb.ADD, IN_WEB, [ONE, TWO], UP)
        scene.do(Verb.REPLACE, IN_WEB, [ONE], UP._replace(weight=0), UP)
        scene.do(Verb.DELETE, IN_WEB, [ONE], UP)
        scene.do(Verb.DELETE, SLOT, [DNS, WEB], RR)
    except Killed:
        pass
    scene.peer.before = lambda _command: None
    scene.peer.after = lambda: None
    scene.start()
    assert {value.protocol for value in scene.services().values()} <= {OURS}
    assert {value.protocol for value in scene.servers().values()} <= {OURS}
    standing = {(slot, member) for kind in (Kind.SERVICE, Kind.SERVER) for slot, member in scene.read(kind)}
    assert {(key.slot, key.member) for key in scene.store.claimed()} == standing  # and no claim without an object


def test_a_long_life_does_not_make_the_store_grow_without_end(web: Scene) -> None:
    for turn in range(3000):
        value = UP._replace(weight=turn)
        assert web.do(Verb.REPLACE, IN_WEB, [ONE], value, UP._replace(weight=turn - 1)) == []
    assert len(web.store.kept) < 1200
    assert web.store.claimed()[Key(Kind.SERVER, IN_WEB, ONE)].weight == 2999
