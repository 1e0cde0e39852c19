"""What keeps services of IPVS, measured inside the virtual machine, one after another. A line of JSON for each figure.

    python3 -m tests.bench.ipvs_inside --sizes 10,1000 --idle 120 --times 5

Runs as root where nobody else has services; `tests.bench.ipvs` calls it. Only the standard library is here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

WORK: Final = Path("/run/bench")
TABLE: Final = Path("/proc/net/ip_vs")
PEERS: Final = Path("/opt/peers")
LONGEST: Final = 1800.0  # seconds until so many services stand
SERVERS: Final = ("10.72.0.11", "10.72.0.12")
PORT: Final = 8080
EVERY: Final = 5  # seconds between two questions to a server, the default of routed


def address(number: int) -> str:
    """Of the service of that number."""
    return f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Contender:
    """One way to keep services."""

    title: ClassVar[str]

    def is_here(self) -> str:
        """Nothing, or why it cannot be measured."""
        return ""

    def write(self, count: int, *, is_checked: bool) -> None:
        """The files that say that so many services shall be, each with two servers."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What starts it, in the foreground."""
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator[int]:
        """Its pid, while it runs."""
        with (WORK / "log").open("ab") as log:
            program = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        try:
            yield program.pid
        finally:
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
            run("ipvsadm", "-C")


class Routed(Contender):
    """This project: what is there is looked at every five seconds."""

    title = "routed"
    options: ClassVar[tuple[str, ...]] = ()

    def is_here(self) -> str:
        """Nothing, or why it cannot be measured."""
        known = run("routed", "run", "--help")
        return "".join(f"this routed has no {option}" for option in self.options if option not in known)

    def write(self, count: int, *, is_checked: bool) -> None:
        """One file."""
        shutil.rmtree(WORK / "state", ignore_errors=True)
        check = f'check = {{ type = "tcp", every = "{EVERY}s", fall = 2, fast = "1s" }}\n' if is_checked else ""
        listed = ", ".join(f'"{one}:{PORT}"' for one in SERVERS)
        (WORK / "routed.toml").write_text(
            'version = 1\n[daemon]\nfight_limit = "off"\n'
            + "".join(
                f'[[service]]\nlisten = "{address(one)}:80"\nscheduler = "rr"\nservers = [{listed}]\n{check}'
                for one in range(count)
            )
        )

    def command(self) -> list[str]:
        """What starts it, in the foreground."""
        folders = [f"--config={WORK}/routed.toml", f"--state-dir={WORK}/state", f"--runtime-dir={WORK}/run"]
        return ["routed", "run", *folders, *self.options]


class RoutedFollowing(Routed):
    """The same, which is told of each change."""

    title = "routed --follow-netlink"
    options = ("--follow-netlink",)


class Keepalived(Contender):
    """keepalived's virtual_server: it writes, and reads nothing back."""

    title = "keepalived"

    def is_here(self) -> str:
        """Nothing, or why it cannot be measured."""
        return "" if (PEERS / "keepalived").exists() else f"no {PEERS}/keepalived"

    def write(self, count: int, *, is_checked: bool) -> None:
        """One file."""
        check = "TCP_CHECK {\n connect_timeout 2\n retry 1\n delay_before_retry 1\n }\n" if is_checked else ""
        real = "".join(f"real_server {one} {PORT} {{\n weight 1\n inhibit_on_failure\n {check}}}\n" for one in SERVERS)
        (WORK / "keepalived.conf").write_text(
            "".join(
                f"virtual_server {address(one)} 80 {{\n delay_loop {EVERY}\n lvs_sched rr\n lvs_method NAT\n"
                f" protocol TCP\n {real}}}\n"
                for one in range(count)
            )
        )

    def command(self) -> list[str]:
        """What starts it, in the foreground."""
        files = ["-f", str(WORK / "keepalived.conf"), "-p", str(WORK / "pid"), "-c", str(WORK / "checkers.pid")]
        loader = ["env", f"LD_LIBRARY_PATH={PEERS}", str(PEERS / "keepalived")]
        return [*loader, "--dont-fork", "--log-console", "--check", *files]


CONTENDERS: Final[tuple[type[Contender], ...]] = (Routed, RoutedFollowing, Keepalived)


def run(*words: str) -> str:
    """What a command prints; how it ends is no matter."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def standing() -> str:
    """The services and servers that are there, without their connections."""
    return re.sub(r" +\d+ +\d+ *$", "", TABLE.read_text(), flags=re.MULTILINE)


def wait(condition: Callable[[], bool], limit: float, pause: float = 0.002) -> float | None:
    """How long until it holds; None when that is longer than so many seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            return None
        time.sleep(pause)
    return time.monotonic() - began


def has_all(count: int) -> bool:
    """Are so many services there, with their servers?"""
    return TABLE.read_text().count("\n") == 3 + count * (1 + len(SERVERS))


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu(pid: int) -> float:
    """Seconds that it and its children have used, also those that ended (cutime, cstime of proc_pid_stat(5))."""
    ticks = 0
    for one in family(pid):
        words = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, words[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MB that it and its children have for themselves (PSS)."""
    rollups = (Path(f"/proc/{one}/smaps_rollup").read_text() for one in family(pid))
    return sum(int(found[1]) for text in rollups if (found := re.search(r"^Pss: +(\d+)", text, re.MULTILINE))) / 1024


def say(row: str, contender: Contender, value: Any, **more: Any) -> None:
    """Print one figure."""
    sys.stdout.write(json.dumps({"row": row, "contender": contender.title, "value": value, **more}) + "\n")
    sys.stdout.flush()


DAMAGE: Final = {
    "ipvsadm -d": ["ipvsadm", "-d", "-t", f"{address(3)}:80", "-r", f"{SERVERS[0]}:{PORT}"],
    "ipvsadm -e": ["ipvsadm", "-e", "-t", f"{address(4)}:80", "-r", f"{SERVERS[1]}:{PORT}", "-m", "-w", "7"],
    "ipvsadm -C": ["ipvsadm", "-C"],
}


def measure_repair(contender: Contender, times: int, never: float) -> None:
    """From what somebody does with ipvsadm until all is as it was: seconds, or null for never."""
    contender.write(10, is_checked=False)
    for row, damage in DAMAGE.items():
        with contender.running():
            if wait(lambda: has_all(10), LONGEST) is None:
                say(row, contender, None, why="it did not start")
                continue
            before = standing()
            for turn in range(times):
                time.sleep(1.0 + 0.7 * turn)  # at another moment of its poll each time
                run(*damage)
                took = wait(lambda: sorted(standing().splitlines()) == sorted(before.splitlines()), never)  # noqa: B023
                say(row, contender, took)
                if took is None:
                    break


def measure_death(contender: Contender, times: int) -> None:
    """From the death of a server until it has weight 0, in all ten services."""
    contender.write(10, is_checked=True)
    dead = f"{''.join(f'{int(part):02X}' for part in SERVERS[0].split('.'))}:{PORT:04X}"
    weights = re.compile(rf"-> {dead} +\S+ +(\d+)")

    def weighs(weight: str) -> Callable[[], bool]:
        return lambda: weights.findall(TABLE.read_text()) == [weight] * 10

    servers = {one: serve(one) for one in SERVERS}
    try:
        with contender.running():
            for turn in range(times):
                if wait(weighs("1"), 60.0) is None:
                    say("death", contender, None, why="it did not start")
                    return
                time.sleep(EVERY + 1.3 * turn)
                servers.pop(SERVERS[0]).kill()
                say("death", contender, wait(weighs("0"), 60.0))
                servers[SERVERS[0]] = serve(SERVERS[0])
    finally:
        for server in servers.values():
            server.kill()


def serve(one: str) -> subprocess.Popen[bytes]:
    """A server that accepts connections."""
    words = [sys.executable, "-m", "http.server", "--bind", one, str(PORT)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/run")


def measure_idle(contender: Contender, count: int, seconds: float) -> None:
    """Start it with so many services, and look what it uses while nothing happens."""
    contender.write(count, is_checked=False)
    with contender.running() as pid:
        took = wait(lambda: has_all(count), LONGEST, 0.1)
        say("start", contender, took, services=count)
        if took is None:
            return
        time.sleep(10.0)
        before = cpu(pid)
        time.sleep(seconds)
        say("idle cpu", contender, cpu(pid) - before, services=count, seconds=seconds)
        say("memory", contender, memory(pid), services=count)


def main() -> None:
    """Measure everything of everybody."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,1000,10000")
    parser.add_argument("--idle", type=float, default=120.0)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--never", type=float, default=30.0, help="seconds after which a repair never comes")
    chosen = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    run("ip", "link", "add", "bench", "type", "dummy")
    run("ip", "link", "set", "bench", "up")
    for one in SERVERS:
        run("ip", "addr", "add", f"{one}/24", "dev", "bench")
    run("ipvsadm", "-C")
    for contender in (make() for make in CONTENDERS):
        if why := contender.is_here():
            say("left out", contender, None, why=why)
            continue
        measure_repair(contender, chosen.times, chosen.never)
        measure_death(contender, chosen.times)
        for count in map(int, chosen.sizes.split(",")):
            measure_idle(contender, count, chosen.idle)


if __name__ == "__main__":
    main()
