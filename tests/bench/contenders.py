"""Who is measured: one class each, and the table at the end.

A contender writes its own files, starts, and says what it cannot do. Everything else is the same for all.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

from tests.bench.programs import PROJECT, Programs, Used
from tests.bench.wire import DEV, IPV4, VIA, Routes, make_requests, write_prefixes
from tests.kernel import netns

BENCH: Final = PROJECT / ".bench"  # made by contrib/bootstrap-bench
LIMIT: Final = BENCH / "limit"
_PEERS: Final = BENCH / "peers"
_LIBRARIES: Final = {
    "LD_LIBRARY_PATH": ":".join(
        str(folder)
        for usr in ("usr/lib", "lib")
        for folder in (*_PEERS.glob(f"{usr}/*-linux-gnu"), *_PEERS.glob(f"{usr}/*-linux-gnu/frr"))
    )
}


RULES, VIPS = 10, 10  # of what is there once (``singles``)
RULE_AT: Final = 21_000  # the priority of the first of these rules


class CannotError(Exception):
    """This contender has no such thing. ``str`` says so."""


class Contender:
    """One way to put routes and keep them. Made in the network namespace that it works in."""

    title: ClassVar[str]
    protocol: ClassVar[int]  # what its routes carry
    is_daemon: ClassVar[bool] = True
    most: ClassVar[int] = 1_000_000  # routes; with more it is not tried …
    because: ClassVar[str] = ""  # … for this reason
    rows: ClassVar[str] = "abcdefghij"  # where it is measured

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self.limit = limit
        self.programs = Programs(folder)

    def write(self, routes: Routes) -> None:
        """Write the files that say that these routes shall be."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start it."""
        raise NotImplementedError

    def change(self, before: Routes, after: Routes) -> None:
        """Make it want others. ``write(after)`` was called."""
        del before, after
        raise CannotError("one-shot" if not self.is_daemon else "no reload")

    def look(self) -> Used:
        """Have it compare everything, once, when there is nothing to find."""
        raise CannotError("never compares")


class Routed(Contender):
    """This project."""

    title = "routed"
    protocol = 114
    rows = "abcdefghijkl"
    resync = 60

    def write(self, routes: Routes) -> None:
        (self.folder / "new").write_text("".join(f"{prefix}\n" for prefix in write_prefixes(routes)))
        (self.folder / "new").rename(self.folder / "prefixes")
        how = 'type = "blackhole"' if routes.sort == "blackhole" else f'via = "{VIA[routes.family]}"\ndev = "{DEV}"'
        (self.folder / "routed.toml").write_text(
            'version = 1\n[daemon]\nfight_limit = "off"\n'
            f'resync = "{self.resync}s"\n'
            f'[[route]]\nname = "many"\nprefixes_file = "{self.folder}/prefixes"\n{how}\n'
        )

    def write_beside(self, few: Routes, many: Routes) -> None:
        """Some routes in table main, and many in another table, where nobody counts them."""
        self.write(many)
        prefixes = ", ".join(f'"{prefix}"' for prefix in write_prefixes(few))
        with (self.folder / "routed.toml").open("a") as file:
            file.write(
                'table = 100\n[[route]]\nname = "few"\n'
                f'prefixes = [{prefixes}]\nvia = "{VIA[few.family]}"\ndev = "{DEV}"\n'
            )

    def write_singles(self, routes: Routes) -> None:
        self.write(routes)
        rules = (f'[[rule]]\npriority = {RULE_AT + n}\nfrom = "192.0.2.{n}"\ntable = {100 + n}\n' for n in range(RULES))
        vips = (f'[[vip]]\naddress = "10.99.1.{n}"\ndev = "{DEV}"\n' for n in range(VIPS))
        with (self.folder / "routed.toml").open("a") as file:
            file.write("".join([*rules, *vips]))

    def write_named(self, destinations: Iterable[str]) -> None:
        """An entry for each route."""
        routes = (f'[[route]]\nto = "{to}"\nvia = "{VIA[IPV4]}"\n' for to in destinations)
        head = 'version = 1\n[daemon]\nfight_limit = "off"\n'
        (self.folder / "routed.toml").write_text(head + "".join(routes))

    def launch(self) -> None:
        self.programs.launch(self.command("run", "--log-format", "json"), {"NOTIFY_SOCKET": ""})

    def change(self, before: Routes, after: Routes) -> None:
        """Nothing to be done: it watches the prefix file, which has another content now."""

    def look(self) -> Used:
        before, began = self.programs.cpu(), time.perf_counter()
        pids = self.programs.pids
        Programs(self.folder).run(self.command("--quiet", "apply"), self.limit)
        assert self.programs.pids == pids
        return Used(time.perf_counter() - began, self.programs.cpu() - before)

    def command(self, *words: str) -> list[str]:
        """A command line of routed with the folders of this one."""
        folders = [f"--config={self.folder}/routed.toml", f"--state-dir={self.folder}/state"]
        return [sys.executable, "-m", "routed", *folders, f"--runtime-dir={self.folder}/run", *words]


class RoutedEverySecond(Routed):
    """The same, told to compare everything once a second: the pass without the command that asks for it."""

    title = "routed, resync 1s"
    rows = "e"
    resync = 1

    def look(self) -> Used:
        return _average(self.programs)


class Bird(Contender):
    """BIRD 2 with its static and kernel protocols, as it comes: the kernel is looked at once a minute."""

    title = "BIRD"
    protocol = 12
    scan = 60

    def write(self, routes: Routes) -> None:
        family = "ipv4" if routes.family == IPV4 else "ipv6"
        how = "blackhole" if routes.sort == "blackhole" else f"via {VIA[routes.family]}"
        (self.folder / "bird.conf").write_text(
            "log stderr all;\nrouter id 10.0.0.1;\nprotocol device { }\n"
            f"protocol kernel {{ {family} {{ export all; }}; scan time {self.scan}; }}\n"
            f"protocol static {{ {family};\n"
            + "".join(f"route {prefix} {how};\n" for prefix in write_prefixes(routes))
            + "}\n"
        )

    def launch(self) -> None:
        control: list[str | Path] = ["-c", self.folder / "bird.conf", "-s", self.folder / "bird.ctl"]
        self.programs.launch([_PEERS / "usr/sbin/bird", "-f", *control], _LIBRARIES)

    def change(self, before: Routes, after: Routes) -> None:
        self.programs.signal(signal.SIGHUP)


class BirdEverySecond(Bird):
    """The same, told to look at the kernel once a second."""

    title = "BIRD, scan time 1"
    rows = "bceh"
    scan = 1

    def look(self) -> Used:
        return _average(self.programs)


class Keepalived(Contender):
    """keepalived with static routes; it guards those with a device, by way of a track group."""

    title = "keepalived"
    protocol = 18
    rows = "abcdefghijk"

    def write(self, routes: Routes) -> None:
        how = f"via {VIA[routes.family]} dev {DEV} track_group T"
        lines = (
            f" blackhole {prefix}\n" if routes.sort == "blackhole" else f" {prefix} {how}\n"
            for prefix in write_prefixes(routes)
        )
        (self.folder / "keepalived.conf").write_text(
            f"vrrp_instance V {{\n interface {DEV}\n virtual_router_id 51\n priority 100\n advert_int 10\n"
            " state MASTER\n"
            " virtual_ipaddress {\n  10.99.0.1/32\n }\n}\n"
            "track_group T {\n group {\n  V\n }\n}\nstatic_routes {\n" + "".join(lines) + "}\n"
        )

    def write_singles(self, routes: Routes) -> None:
        self.write(routes)
        written = (self.folder / "keepalived.conf").read_text()
        vips = "".join(f"  10.99.1.{n}/32\n" for n in range(VIPS))
        rules = "".join(f"  from 192.0.2.{n} table {100 + n} priority {RULE_AT + n}\n" for n in range(RULES))
        written = written.replace("advert_int 10", "advert_int 1")
        written = written.replace("  10.99.0.1/32\n }\n", f"{vips} }}\n virtual_rules {{\n{rules} }}\n")
        (self.folder / "keepalived.conf").write_text(written)

    def launch(self) -> None:
        files: list[str | Path] = [
            "-f",
            self.folder / "keepalived.conf",
            "-p",
            self.folder / "pid",
            "-r",
            self.folder / "vrrp.pid",
        ]
        self.programs.launch([_PEERS / "usr/sbin/keepalived", "-n", "-l", "-P", *files], _LIBRARIES)

    def change(self, before: Routes, after: Routes) -> None:
        self.programs.signal(signal.SIGHUP)


class Frr(Contender):
    """FRR: zebra and staticd."""

    title = "FRR"
    protocol = 196
    most = 1_000
    because = "staticd reads its file in the square of the number of routes"

    def write(self, routes: Routes) -> None:
        (self.folder / "zebra.conf").write_text("hostname bench\n")
        (self.folder / "staticd.conf").write_text("".join(f"{line}\n" for line in self._lines(routes)))
        group = Path("/etc/group").read_text(encoding="utf-8")
        (self.folder / "group").write_text(f"{group}frrvty:x:990:root\n")  # it will not start without that group

    def _lines(self, routes: Routes) -> list[str]:
        word = "ip" if routes.family == IPV4 else "ipv6"
        how = "blackhole" if routes.sort == "blackhole" else VIA[routes.family]
        return [f"{word} route {prefix} {how}" for prefix in write_prefixes(routes)]

    def launch(self) -> None:
        for name in ("zebra", "staticd"):
            folder = self.folder
            options = f"-u root -g root -A 127.0.0.1 -f {folder}/{name}.conf -i {folder}/{name}.pid --log stdout"
            command = f"{_PEERS}/usr/lib/frr/{name} {options} --vty_socket {folder} -z {folder}/zserv"
            in_group = f"mount --bind {folder}/group /etc/group && mount -t tmpfs none /run && exec {command}"
            self.programs.launch(["unshare", "--mount", "sh", "-c", in_group], _LIBRARIES)
            if name == "zebra":
                netns.wait_until((folder / "zserv").exists)

    def change(self, before: Routes, after: Routes) -> None:
        old, new = set(self._lines(before)), set(self._lines(after))
        lines = ["enable", "configure terminal", *sorted(new - old), *(f"no {line}" for line in sorted(old - new))]
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.folder / "staticd.vty"))
            for line in lines:
                console.sendall(line.encode() + b"\0")
                answer = b""
                while answer[-4:-1] != b"\0\0\0":
                    answer += console.recv(4096)


class IpBatch(Contender):
    """`ip -batch`: what an operator would compare with."""

    title = "ip -batch"
    protocol = 3
    is_daemon = False

    def write(self, routes: Routes) -> None:
        (self.folder / "batch").write_text(self._commands("add", routes))

    def _commands(self, verb: str, routes: Routes) -> str:
        if routes.sort == "blackhole":
            return "".join(f"route {verb} blackhole {prefix}\n" for prefix in write_prefixes(routes))
        how = f"via {VIA[routes.family]} dev {DEV}"
        return "".join(f"route {verb} {prefix} {how}\n" for prefix in write_prefixes(routes))

    def launch(self) -> None:
        self.programs.launch(["ip", "-batch", self.folder / "batch"])

    def run(self) -> Used:
        """The same, to its end."""
        return self.programs.run(["ip", "-batch", self.folder / "batch"], self.limit)

    def change(self, before: Routes, after: Routes) -> None:
        moved = after.first - before.first
        gone, new = before._replace(count=moved), after._replace(count=moved, first=before.first + before.count)
        (self.folder / "difference").write_text(self._commands("add", new) + self._commands("del", gone))
        self.programs.launch(["ip", "-batch", self.folder / "difference"])

    def look(self) -> Used:
        return self.programs.run(["ip", "route", "show", "table", "main", "proto", "boot"], self.limit)


class Pyroute2(Contender):
    """pyroute2's own way: IPRoute, a call a route, and a loop over its events."""

    title = "pyroute2"
    protocol = 4
    most = 10_000
    because = "a third of a millisecond a route"

    def write(self, routes: Routes) -> None:
        (self.folder / "prefixes").write_text("".join(f"{prefix}\n" for prefix in write_prefixes(routes)))
        self._how = [] if routes.sort == "blackhole" else [VIA[routes.family]]

    def launch(self) -> None:
        script = PROJECT / "tests/bench/pyroute2_way.py"
        self.programs.launch([BENCH / "venv/bin/python", script, self.folder / "prefixes", *self._how])


class IfState(Contender):
    """ifstate: declarative, by pyroute2, once."""

    title = "ifstate"
    protocol = 3
    is_daemon = False
    most = 10_000
    because = "it looks through all routes for each"

    def write(self, routes: Routes) -> None:
        how = "type: blackhole" if routes.sort == "blackhole" else f"via: {VIA[routes.family]}, dev: {DEV}"
        peers = {DEV: f"{DEV}p", f"{DEV}p": DEV}
        links = "".join(f"  {end}:\n    link: {{kind: veth, state: up, peer: {peer}}}\n" for end, peer in peers.items())
        links = links.replace(f"  {DEV}:\n", f"  {DEV}:\n    addresses: [10.0.0.1/24, 'fd00::1/64']\n")
        (self.folder / "ifstate.yml").write_text(
            f"interfaces:\n{links}routing:\n  routes:\n"
            + "".join(f"    - {{to: '{prefix}', {how}}}\n" for prefix in write_prefixes(routes))
        )

    def _command(self, verb: str) -> list[str | Path]:
        # It refuses to work in another network namespace than that of pid 1.
        alone: list[str | Path] = ["unshare", "--pid", "--fork", "--mount-proc"]
        return [*alone, BENCH / "venv/bin/ifstatecli", "--quiet", "--config", self.folder / "ifstate.yml", verb]

    def launch(self) -> None:
        self.programs.launch(self._command("apply"))

    def change(self, before: Routes, after: Routes) -> None:
        self.launch()

    def look(self) -> Used:
        return self.programs.run(self._command("check"), self.limit)


class Limit(Contender):
    """The C program beside this file: ready-made requests, nothing to read, decide or say."""

    title = "the limit (C)"
    protocol = 114

    def write(self, routes: Routes) -> None:
        self._family = routes.family
        oif = netns.index_of(DEV)
        (self.folder / "requests").write_bytes(make_requests(routes, self.protocol, oif))

    def launch(self) -> None:
        self.programs.launch([LIMIT, "keep", self.folder / "requests"])

    def change(self, before: Routes, after: Routes) -> None:
        moved, oif = after.first - before.first, netns.index_of(DEV)
        new = after._replace(count=moved, first=before.first + before.count)
        self.programs.close()
        for number, (routes, is_removal) in enumerate([(new, False), (before._replace(count=moved), True)]):
            path = self.folder / f"difference{number}"
            path.write_bytes(make_requests(routes, self.protocol, oif, is_removal=is_removal))
            self.programs.run([LIMIT, "install", path], self.limit)

    def look(self) -> Used:
        return Programs(self.folder).run([LIMIT, "dump", str(int(self._family)), str(self.protocol)], self.limit)


def _average(programs: Programs) -> Used:
    """What is taken each second, of some seconds."""
    before = programs.cpu()
    time.sleep(5)
    cpu = (programs.cpu() - before) / 5
    return Used(cpu, cpu)


CONTENDERS: Final[dict[str, type[Contender]]] = {
    "limit": Limit,
    "routed": Routed,
    "routed-1s": RoutedEverySecond,
    "bird": Bird,
    "bird-1s": BirdEverySecond,
    "keepalived": Keepalived,
    "frr": Frr,
    "ip": IpBatch,
    "pyroute2": Pyroute2,
    "ifstate": IfState,
}
