"""A host with very many addresses, of which some that nobody declared come and go all the time."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest

from routed.cli.client import call
from tests.kernel.netns import ip_batch
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.worlds import WORLD

ADDRESSES: Final = 3000
CHANGES: Final = 300  # a second
LASTS: Final = 20.0  # seconds
LIMIT: Final = 4.0  # seconds of the watchdog
PATIENCE: Final = 10.0  # seconds for an answer
# Besides, what depends on the addresses of the host.
FILE: Final = f"""{WORLD}
[[interface]]
name = "inner"
match = [ {{ cidr = "10.0.0.0/24" }} ]
[[route]]
name = "inward"
to = "192.0.7.0/24"
dev = "@inner"
[[vip]]
name = "api"
address = "10.103.97.2"
node = "10.0.0.1"
when = "always"
"""


@contextmanager
def churn() -> Iterator[None]:
    """An unrelated address is added and deleted, so many changes a second."""
    over = threading.Event()

    def change(feed: Any) -> None:
        began = time.monotonic()
        for turn, verb in enumerate(itertools.cycle(["add", "del"])):
            if over.wait(max(0.0, began + turn / CHANGES - time.monotonic())):
                return
            feed.write(f"addr {verb} 10.99.0.1/32 dev v1\n".encode())
            feed.flush()

    with subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE) as script:
        worker = threading.Thread(target=change, args=[script.stdin])
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()
            assert script.stdin
            script.stdin.close()


@pytest.mark.timeout(300)
def test_address_changes_without_end_leave_the_watchdog_the_clients_and_a_reload_their_turn(daemon: Daemon) -> None:
    ip_batch("".join(f"addr add 10.{64 + n // 250}.{n % 250}.1/32 dev v1\n" for n in range(ADDRESSES)))
    daemon.start(FILE, before=["env", f"WATCHDOG_USEC={LIMIT * 1e6:.0f}"])
    wanted = routes()
    runtime = f"{daemon.folder}/run"
    signs = [time.monotonic()]
    answers: list[Future[dict[str, Any]]] = []

    with ThreadPoolExecutor(2) as clients, churn():
        began = time.monotonic()
        daemon.write(FILE.replace("192.0.5.0/24", "192.0.6.0/24"))
        reload = clients.submit(call, runtime, "Reload", {"force": False}, LASTS)
        while (now := time.monotonic()) < began + LASTS:
            signs += [now for note in daemon.read_notifications() if "WATCHDOG=1" in note.splitlines()]
            if all(answer.done() for answer in answers):
                answers.append(clients.submit(call, runtime, "GetStatus", {}, PATIENCE))
            time.sleep(0.01)
        signs.append(time.monotonic())

    assert max(later - earlier for earlier, later in itertools.pairwise(signs)) < LIMIT
    assert all(answer.result()["schema"] == "routed.status/1" for answer in answers)
    assert reload.result()["problems"] == []
    assert {route["dst"] for route in routes()} ^ {route["dst"] for route in wanted} == {"192.0.5.0/24", "192.0.6.0/24"}
