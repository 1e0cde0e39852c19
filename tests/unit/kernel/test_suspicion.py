"""Who probably asked by sockets that were gone before anybody could look: a flush opens one for each rule."""

from __future__ import annotations

from pathlib import Path

from routed.audit.actors import name_actor
from routed.kernel.owners import guess_asker
from routed.kernel.witness import Witness
from routed.model.process import Process

FLUSH = Process(42, "ip", "ip rule flush", is_certain=False)
PORTS = (3_000_000_001, 3_000_000_002, 3_000_000_003)


def test_sockets_that_follow_each_other_at_once_are_of_one_program_whichever_of_them_it_was_seen_at() -> None:
    now = [1.0]
    guesses = iter([None, FLUSH, None])
    witness = Witness(lambda: now[0], lambda _: None, lambda _port, _is_late: None, lambda: next(guesses))
    for port in PORTS:
        assert witness.identify(port) is None
        now[0] += 0.05
    for port in PORTS:
        witness.search(port)
    assert {witness.find_searched(port) for port in PORTS} == {FLUSH}


def test_a_socket_that_comes_alone_may_be_anybodys() -> None:
    now = [1.0]
    guesses = iter([FLUSH, FLUSH])
    witness = Witness(lambda: now[0], lambda _: None, lambda _port, _is_late: None, lambda: next(guesses))
    witness.identify(PORTS[0])
    now[0] += 1.0
    witness.identify(PORTS[1])
    assert (witness.find_searched(PORTS[0]), witness.find_searched(PORTS[1])) == (None, None)


def test_nobody_is_guessed_where_nothing_is_known(tmp_path: Path) -> None:
    assert guess_asker(tmp_path) is None


def test_a_guess_is_told_as_one() -> None:
    assert name_actor(PORTS[0], FLUSH).words == 'probably "ip rule flush" (pid 42)'
