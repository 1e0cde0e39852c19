"""Whoever kills the daemon amid a trial, at any moment: in the end the host is as somebody confirmed it.

The judge is ``ip``, and what others had put before is a part of what it shows.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from routed.cli.client import ClientError, call
from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import everything
from tests.system.worlds import blackholes

LASTS: Final = 3.0  # seconds of a trial
SOON: Final = 0.7  # seconds in which most of it happens
FOR_EVER: Final = 0xFFFFFFFF
STAYS: Final = '[[rule]]\nname = "storage"\npriority = 1200\nfrom = "10.0.0.1"\ntable = 120\n'
# Each displaces one object of others, and leaves alone what the other displaces.
BASE: Final = f"""{STAYS}
[[route]]
name = "lan"
to = "192.0.2.0/24"
via = "10.0.0.2"
[[route]]
name = "first"
to = "192.0.6.0/24"
via = "10.0.0.2"
"""
TRIAL: Final = f"""{STAYS}
[[route]]
name = "lan"
to = "192.0.2.0/24"
via = "10.1.0.2"
[[route]]
name = "second"
to = "192.0.5.0/24"
via = "10.0.0.2"
[[route]]
name = "second6"
to = "2001:db8:5::/48"
via = "fd00::2"
[[address]]
name = "lease"
address = "10.0.0.77/24"
dev = "v0"
[[rule]]
priority = 1300
from = "10.1.0.1"
table = 120
{blackholes(20)}"""


def put_things_of_others() -> None:
    for number in (5, 6):
        ip(f"route add 192.0.{number}.0/24 via 10.0.0.9 proto static")
    ip("-6 route add 2001:db8:5::/48 via fd00::9 proto static")
    ip("address add 10.0.0.77/24 dev v0 valid_lft 9000 preferred_lft 6000")


def show() -> dict[str, Any]:
    """All that there is. Of a lifetime it shows that there is one, not what is left of it."""
    found = [one for link in ip_json("address show") for one in link["addr_info"]]
    leases = {one["local"] for one in found if one["valid_life_time"] != FOR_EVER != one["preferred_life_time"]}
    return everything("") | {"leases": leases}


class Evening:
    """One host, its two files, and a daemon that does not live long."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon = daemon
        self.random = random.Random(seed)  # noqa: S311  nothing is secret
        self.kills = 0
        self.ends: list[str] = []
        put_things_of_others()
        daemon.start(BASE)
        self.base = show()
        daemon.apply(TRIAL)
        self.trial = show()
        assert self.trial != self.base
        self.reset()

    def reset(self) -> None:
        """The base is in force, by the word of somebody."""
        self.daemon.apply(BASE, force=True)
        assert show() == self.base

    @property
    def has_record(self) -> bool:
        return (self.daemon.state / "revisions/deployment.json").exists()

    def call(self, method: str, **parameters: object) -> bool:
        """Did the daemon answer?"""
        try:
            call(f"{self.daemon.folder}/run", method, parameters, timeout=20.0)
        except ClientError:
            return False
        return True

    def kill(self) -> None:
        limit = SOON if self.random.random() < 0.7 else LASTS
        time.sleep(self.random.uniform(0, limit))  # when, is what is tried
        self.daemon.kill()
        self.kills += 1

    def start_again(self) -> None:
        """And perhaps once more."""
        self.daemon.start()
        while self.random.random() < 0.4:
            self.kill()
            self.daemon.start()

    def check(self, expected: dict[str, Any], *deployments: str) -> None:
        """What there is in the end."""
        wait_until(lambda: "trial" not in self.daemon.status(), within=20.0)
        wait_until(lambda: show() == expected, within=20.0)
        status = self.daemon.status()
        assert status["deployment"] in deployments
        assert status["leftovers"] == []

    # --- what an evening may have -------------------------------------------------------------------------------------

    def try_out(self, clients: ThreadPoolExecutor) -> str:
        """A trial that nobody confirms."""
        self.daemon.write(TRIAL)
        clients.submit(self.call, "Reload", force=False, confirm=LASTS)
        self.kill()
        if not self.has_record:
            assert show() == self.base, "something was changed before there was a way back"
            self.daemon.write(BASE)  # else it would be the last word of the operator
            self.daemon.start()
            return "not begun"
        self.start_again()
        self.check(self.base, "rejected")
        return "undone"

    def confirm(self, clients: ThreadPoolExecutor) -> str:
        """A trial that somebody confirms, or wants to."""
        self.daemon.write(TRIAL)
        self.call("Reload", force=False, confirm=LASTS)
        confirmed = clients.submit(self.call, "Confirm")
        self.kill()
        lasts = not self.has_record
        assert lasts or not confirmed.result()
        self.start_again()
        self.check(self.trial if lasts else self.base, "in force" if lasts else "rejected")
        return "confirmed" if lasts else "undone"

    def roll_back(self, clients: ThreadPoolExecutor) -> str:
        """Back to the revision before, for good."""
        self.daemon.apply(TRIAL)
        answered = clients.submit(self.call, "RollBack", force=True)
        self.kill()
        lasts = self.has_record
        assert lasts or not answered.result()
        self.start_again()
        self.check(self.base if lasts else self.trial, "rolled back" if lasts else "in force")
        return "rolled back" if lasts else "not begun"

    def try_to_roll_back(self, clients: ThreadPoolExecutor) -> str:
        """Back to the revision before, and nobody confirms it."""
        self.daemon.apply(TRIAL)
        clients.submit(self.call, "RollBack", force=True, confirm=LASTS)
        self.kill()
        self.start_again()
        self.check(self.trial, "rejected", "in force")
        return "undone"

    def go_on(self, clients: ThreadPoolExecutor) -> None:
        """One of them, and some kills."""
        acts = self.try_out, self.confirm, self.roll_back, self.try_to_roll_back
        (act,) = self.random.choices(acts, (4, 2, 1, 1))
        self.ends.append(act(clients))


@pytest.mark.parametrize(("kills", "seed"), [(10, 1), pytest.param(200, 2, marks=pytest.mark.long)])
@pytest.mark.timeout(3600)
def test_whenever_the_daemon_is_killed_the_host_ends_as_it_was_confirmed(daemon: Daemon, kills: int, seed: int) -> None:
    evening = Evening(daemon, seed)
    with ThreadPoolExecutor(2) as clients:
        while evening.kills < kills:
            evening.go_on(clients)
            evening.reset()
    assert evening.ends.count("undone") > evening.ends.count("not begun")
