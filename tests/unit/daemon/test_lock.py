from __future__ import annotations

import os
import subprocess
import sys

import pytest

from routed.daemon.lock import AlreadyRunningError, acquire

# Numbers that no routed on this host has: the lock of one is a word longer than a protocol number can be.
PROTOCOL = 1_000_000 + os.getpid()


def test_a_second_daemon_is_told_who_the_first_one_is() -> None:
    program = f"from routed.daemon.lock import acquire; lock = acquire({PROTOCOL}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout
        assert first.stdout.readline() == b"held\n"
        for _ in range(3):  # asking does not use the answer up
            with pytest.raises(AlreadyRunningError, match=f"pid {first.pid}"):
                acquire(PROTOCOL)
        with pytest.raises(AlreadyRunningError, match=f"another routed \\(pid {first.pid}\\)") as error:
            acquire(PROTOCOL)
        assert error.value.holder == (first.pid, os.geteuid())
        first.communicate(b"\n")
    acquire(PROTOCOL).close()


def test_two_protocol_numbers_are_two_locks() -> None:
    with acquire(PROTOCOL), acquire(PROTOCOL + 1):
        pass


def test_the_lock_is_free_again_once_it_is_closed() -> None:
    acquire(PROTOCOL).close()
    acquire(PROTOCOL).close()


def test_a_holder_that_cannot_be_known_is_no_obstacle_to_the_sentence() -> None:
    with acquire(PROTOCOL) as lock:
        lock.listen(0)
        with pytest.raises(AlreadyRunningError):
            acquire(PROTOCOL)
        with pytest.raises(AlreadyRunningError, match="another process holds the lock") as error:
            acquire(PROTOCOL)
        assert error.value.holder is None
