"""``routed monitor``, and how far a long apply is: what somebody sees who looks on."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, PROJECT, Daemon
from tests.system.worlds import GATEWAY

RECVFROM = "45"  # arch/x86/entry/syscalls/syscall_64.tbl
TWO = """
[[route]]
name = "one"
to = "10.8.0.0/16"
type = "blackhole"
[[route]]
name = "two"
to = "10.9.0.0/16"
type = "blackhole"
"""


@contextmanager
def monitoring(daemon: Daemon, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A monitor that listens already."""
    command = [sys.executable, "-m", "routed", f"--runtime-dir={daemon.folder}/run", "monitor", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        wait_until(lambda: is_listening(process.pid), PATIENCE)
        try:
            yield process
        finally:
            process.kill()


def is_listening(pid: int) -> bool:
    """Does it wait for its socket? Then the daemon has its call, or will have it before any other."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == RECVFROM


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    assert select.select([process.stdout], [], [], PATIENCE)[0], "nothing was said"
    return process.stdout.readline()


def delete(destination: str) -> None:
    subprocess.run(["ip", "route", "del", "blackhole", destination], check=True)


def test_a_monitor_tells_what_happens_to_one_entry_as_the_journal_has_it(daemon: Daemon) -> None:
    daemon.start(TWO)
    with monitoring(daemon, "route/two", "--json") as monitor:
        delete("10.8.0.0/16")
        daemon.wait_for("repaired", "route/one")
        delete("10.9.0.0/16")
        told = json.loads(read_line(monitor))
        record = daemon.wait_for("repaired", "route/two")
        assert (told["schema"], told["message"]) == ("routed.monitor/1", record["message"])
        assert told["fields"] == record["fields"]
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(PATIENCE) == 130


def test_a_monitor_of_everything_writes_a_line_each_and_says_when_the_daemon_ends(daemon: Daemon) -> None:
    daemon.start(TWO)
    with monitoring(daemon) as monitor:
        delete("10.9.0.0/16")
        line = read_line(monitor)
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*  route/two 10.9.0.0/16 deleted by ", line)
        daemon.kill()
        out, err = monitor.communicate(timeout=PATIENCE)
        assert (monitor.returncode, out) == (69, "")
        assert "the daemon has ended" in err


def test_a_name_that_is_not_there_is_told_and_waited_for(daemon: Daemon) -> None:
    daemon.start(TWO)
    with monitoring(daemon, "route/three", "--json") as monitor:
        daemon.apply(TWO + '[[route]]\nname = "three"\nto = "10.10.0.0/16"\ntype = "blackhole"\n')
        assert json.loads(read_line(monitor))["fields"]["ROUTED_ENTRY"] == "route/three"
        monitor.send_signal(signal.SIGINT)
        assert "there is no entry route/three in force" in monitor.communicate(timeout=PATIENCE)[1]


def test_without_a_daemon_a_monitor_says_so(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        assert daemon.ask("monitor").code == 69
    finally:
        daemon.close()


def apply_at_a_terminal(daemon: Daemon, *words: str) -> tuple[str, str]:
    """What apply prints, and what it writes to the terminal that is its stderr."""
    ours, theirs = pty.openpty()
    command = [
        sys.executable, "-m", "routed", f"--config={daemon.config}", f"--state-dir={daemon.state}",
        f"--runtime-dir={daemon.folder}/run", "apply", *words,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=PROJECT)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # nobody has the terminal any more
            break
        said += part
        if not part:
            break
    out, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    assert process.returncode == 0
    return out, said.decode()


def test_a_long_apply_says_at_a_terminal_how_far_it_is_and_leaves_nothing_of_that(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    prefixes = daemon.folder / "prefixes"
    count = 400_000
    prefixes.write_text("".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(count)))
    daemon.write(f'[[route]]\nname = "many"\nprefixes_file = "{prefixes}"\ntype = "blackhole"\ntable = 77\n{GATEWAY}')
    out, said = apply_at_a_terminal(daemon)
    figures = [(int(done), int(total)) for done, total in re.findall(r"(\d+) of (\d+) objects, \d+ %", said)]
    assert figures
    assert figures == sorted(figures)
    assert {total for _, total in figures} == {count}
    assert said.endswith("\r\x1b[K")
    assert f"{count} changed" in out


def test_a_short_apply_and_one_without_a_terminal_say_nothing_of_it(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(TWO)
    out, said = apply_at_a_terminal(daemon)
    assert "2 changed" in out or "3 changed" in out
    assert said == ""
    assert daemon.ask("apply").err == ""
