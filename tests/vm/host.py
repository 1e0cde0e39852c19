"""A Debian host with routed on it, as its operator sees it: files, `systemctl`, `ip`, `journalctl`.

Judged by what those say, never by routed's own code.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.vm.machine import CARDS, Done, Machine

LAN, SAN, SPARE = CARDS  # two that are up and have addresses, and one that is down and has none
INSTALL: Final = "DEBIAN_FRONTEND=noninteractive dpkg --install /opt/routed.deb"
SLOW: Final = 240.0  # seconds for what takes long when it is emulated: an installation compiles 500 files

HERE: Final = "/opt/checkout/tests/vm"
DROP_INS: Final = "/etc/systemd/system/routed.service.d"

Record = dict[str, Any]


class Host:
    """The machine, and what is done to it again and again."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.do, self.run, self.ask = machine.do, machine.run, machine.ask
        self.write, self.wait_until = machine.write, machine.wait_until
        self._cursor = ""

    def clear(self) -> None:
        """Make it a host with the package, two addresses, and nothing else; forget what the journal said."""
        self.do(f"[ -e /usr/bin/routed ] || {INSTALL}", within=SLOW)  # a test may have removed it
        self.do(f"bash {HERE}/clear", within=SLOW)
        (last,) = self.ask_lines("journalctl --sync && journalctl --lines=1 --output=json")
        self._cursor = last["__CURSOR"]

    def use_networkd(self) -> None:
        """Have systemd-networkd give the addresses, now and at every boot."""
        self.do(f"cp {HERE}/networkd/* /etc/systemd/network/")
        self.do("systemctl --quiet enable --now systemd-networkd", within=SLOW)
        self.wait_until(f"[ $(networkctl list {LAN} {SAN} --no-legend | grep -c configured) = 2 ]")

    @contextmanager
    def small_var(self) -> Iterator[None]:
        """Have /var on a file system of its own, with 24 MiB to spare, during the block."""
        self.do(
            "mkdir -p /run/small && mount -t tmpfs -o size=24m small /run/small && mkdir /run/small/{upper,work} && "
            "mount -t overlay -o lowerdir=/var,upperdir=/run/small/upper,workdir=/run/small/work overlay /var && "
            "systemctl restart systemd-journald"
        )
        try:
            yield
        finally:
            self.do("systemctl stop routed; umount --lazy /var /run/small; systemctl restart systemd-journald")

    # --- routed ---------------------------------------------------------------------------------------------------

    def drop_in(self, text: str) -> None:
        """Change the unit as an operator does."""
        self.write(f"{DROP_INS}/test.conf", f"[Service]\n{text}\n")
        self.do("systemctl daemon-reload", within=SLOW)

    def configure(self, toml: str, daemon: str = "") -> None:
        """Write /etc/routed.toml; ``daemon`` is what stands in its table of that name."""
        self.write("/etc/routed.toml", f"version = 1\n[daemon]\n{daemon}\n{toml}")

    def start(self, toml: str, daemon: str = "") -> None:
        """Start the service with this file; afterwards its first pass is over."""
        self.configure(toml, daemon)
        self.do("systemctl start routed", within=SLOW)

    def reload(self) -> Done:
        """Run `systemctl reload routed`."""
        return self.run("systemctl reload routed", within=SLOW)

    def main_pid(self) -> int:
        """The pid of the daemon; 0 when it does not run."""
        return int(self.show("MainPID"))

    def show(self, name: str, unit: str = "routed") -> str:
        """A property of a unit."""
        return self.do(f"systemctl show --value --property={name} {unit}").strip()

    # --- the kernel -----------------------------------------------------------------------------------------------

    def routes(self, selection: str = "proto routed") -> list[str]:
        """Routes as "destination gateway device", of those that `ip route show` selects; ours unless told."""
        shown = self.ask(f"ip -j route show {selection}") + self.ask(f"ip -j -6 route show {selection}")
        return sorted(" ".join(route.get(word, "-") for word in ("dst", "gateway", "dev")) for route in shown)

    def wait_for_routes(self, *expected: str, selection: str = "proto routed") -> None:
        """Wait until exactly these are there, as ``routes`` writes them."""
        end = time.monotonic() + SLOW
        while self.routes(selection) != sorted(expected) and time.monotonic() < end:
            self.do("sleep 0.1")
        assert self.routes(selection) == sorted(expected)

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        """What `ip monitor` prints during the block; filled when it has ended."""
        heard: list[str] = []
        marks = "10.255.255.1", "10.255.255.2"  # so that the monitor listens before the block, and heard all of it
        self.do("systemd-run --quiet --collect --unit=watch sh -c 'exec ip -t monitor route rule address >/run/watch'")
        self.wait_until(f"ip route replace blackhole {marks[0]}; ip route del {marks[0]}; grep {marks[0]} /run/watch")
        yield heard
        self.wait_until(f"ip route replace blackhole {marks[1]}; ip route del {marks[1]}; grep {marks[1]} /run/watch")
        self.do("systemctl stop watch")
        lines = self.do("cat /run/watch").splitlines()
        heard += [line for line in lines if not re.search(r"10\.255\.255\.|^Timestamp", line)]

    # --- the journal ----------------------------------------------------------------------------------------------

    def journal(self, *matches: str) -> list[Record]:
        """The records of routed since the test began, of those that match."""
        # The cursor names no boot, so this reads across reboots. Matches are compared here: journalctl of systemd 252
        # leaves out the first record that matches where the one at the cursor does not.
        records = self.ask_lines(f"journalctl --sync; journalctl --after-cursor='{self._cursor}' -o json")
        wanted = dict(match.split("=", 1) for match in ("SYSLOG_IDENTIFIER=routed", *matches))
        return [record for record in records if wanted.items() <= record.items()]

    def messages(self, *matches: str) -> list[str]:
        """Their sentences."""
        return [record["MESSAGE"] for record in self.journal(*matches)]

    def wait_for_record(self, *matches: str) -> Record:
        """The first record that matches, as soon as it is there."""
        return self.wait_for_records(1, *matches)[0]

    def wait_for_records(self, count: int, *matches: str) -> list[Record]:
        """The records that match, as soon as they are so many."""
        end = time.monotonic() + SLOW
        while len(found := self.journal(*matches)) < count:
            assert time.monotonic() < end, f"not {count} records with {' and '.join(matches)}, but {len(found)}"
            self.do("sleep 0.2")
        return found

    def ask_lines(self, command: str) -> list[Record]:
        """The answer of a command that prints one JSON document a line."""
        return [json.loads(line) for line in self.do(command).splitlines()]
