"""The daemon as a process of its own: started, asked, stopped and killed as an operator and a service manager would.

It runs in the network namespace of the calling thread, with its files under one folder. What it did is read from its
JSON lines on stderr, when it was ready from a real notification socket.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from routed.cli.client import ClientError, call
from tests.kernel.netns import wait_until

PROJECT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; only a failing test takes them

Record = dict[str, Any]


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Daemon:
    """One `routed run` and the commands that speak to it."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "routed.toml"
        self.drop_ins = folder / "routed.toml.d"
        self.state = folder / "state"
        self.folder = folder
        self._log = folder / "log"
        self._options = [f"--config={self.config}", f"--state-dir={self.state}", f"--runtime-dir={folder}/run"]
        self._process: subprocess.Popen[bytes] | None = None
        # A full queue would block the sender, and nobody reads while a test waits for something else.
        Path("/proc/sys/net/unix/max_dgram_qlen").write_text("100000")
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.bind(str(folder / "notify"))
        self._notifications.setblocking(False)
        self._seen = 0

    # --- life -----------------------------------------------------------------------------------------------------

    def write(self, toml: str, daemon: str = "") -> None:
        """Write the main file in place; ``daemon`` is what stands in its table of that name."""
        self.config.write_text(f"version = 1\n[daemon]\n{daemon}\n{toml}")

    def launch(self, *, before: Sequence[str] = (), options: Sequence[str] = ()) -> None:
        """Start it, with options of ``run``, and do not wait. ``before`` is a command that runs it, such as strace."""
        assert self._process is None, "it runs already"
        self.read_notifications()  # READY of one that was killed is not that of this one
        environment = os.environ | {"NOTIFY_SOCKET": str(self.folder / "notify")}
        command = [*before, sys.executable, "-m", "routed", *self._options, "run", "--log-format", "json", *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, cwd=PROJECT, env=environment)

    def start(self, toml: str | None = None, *, daemon: str = "", before: Sequence[str] = ()) -> None:
        """Start it, with this file if there is one, and wait until it says READY."""
        if toml is not None:
            self.write(toml, daemon)
        self.launch(before=before)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for READY=1; fail with the log when it ends before."""
        assert self._process is not None
        process = self._process

        def is_ready() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}:\n{self._log.read_text()}"
            return any("READY=1" in note.splitlines() for note in self.read_notifications())

        wait_until(is_ready, PATIENCE)

    def read_notifications(self) -> list[str]:
        """What it told the service manager since the last call."""
        notes = []
        while True:
            try:
                notes.append(self._notifications.recv(4096).decode())
            except BlockingIOError:
                return notes

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def stop(self) -> int:
        """End it as a service manager does."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def close(self) -> None:
        """Whatever happened, leave nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._notifications.close()

    # --- commands -------------------------------------------------------------------------------------------------

    def ask(self, *words: str) -> Answer:
        """Run a command of ``routed`` with the folders of this daemon."""
        command = [sys.executable, "-m", "routed", *self._options, *words]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=PATIENCE * 3)
        return Answer(done.returncode, done.stdout, done.stderr)

    def ask_json(self, *words: str) -> dict[str, Any]:
        """The document that a command prints; of ``status`` what the daemon answers, without a process for it."""
        if words == ("status",):
            return self.status()
        answer = self.ask("--json", *words)
        assert answer.out, answer.err
        document: dict[str, Any] = json.loads(answer.out)
        return document

    def status(self) -> dict[str, Any]:
        """What `routed status --json` prints: most tests ask for it again and again."""
        try:
            return call(f"{self.folder}/run", "GetStatus")
        except ClientError as error:
            raise AssertionError(str(error)) from error

    def apply(self, toml: str, *, daemon: str = "", force: bool = False) -> dict[str, Any]:
        """Write the file and have it enforced; the verified result."""
        self.write(toml, daemon)
        return self.ask_json("apply", *(["--force"] if force else []))

    def entry(self, name: str) -> dict[str, Any]:
        """What status says of one entry."""
        (found,) = [entry for entry in self.status()["entries"] if entry["entry"] == name]
        assert isinstance(found, dict)
        return found

    def wait_for_resync(self) -> None:
        """Wait until a full comparison that begins from now on is over."""
        before = self.status()["last_resync"]
        wait_until(lambda: self.status()["last_resync"] != before)  # it may be under way
        before = self.status()["last_resync"]
        wait_until(lambda: self.status()["last_resync"] != before)

    # --- audit ----------------------------------------------------------------------------------------------------

    def records(self, event: str = "", entry: str = "") -> list[Record]:
        """The records since the last ``forget``, of one event and entry if they are named; "*/*" is any entry."""
        text = self._log.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()[self._seen :]
        assert not [line for line in lines if not line.startswith("{")], f"not a record in the log:\n{text}"
        return [
            record
            for record in map(json.loads, lines)
            if event in {"", record["fields"]["ROUTED_EVENT"]}
            and fnmatchcase(record["fields"].get("ROUTED_ENTRY", ""), entry or "*")
        ]

    def forget(self) -> None:
        """What was said until now is of no interest."""
        self._seen = self._log.read_text().count("\n")

    def wait_for(self, event: str, entry: str = "", saying: str = "") -> Record:
        """The first record of this event and entry whose sentence holds these words, as soon as it is there."""

        def find() -> Record | None:
            return next((record for record in self.records(event, entry) if saying in record["message"]), None)

        try:
            wait_until(lambda: find() is not None)
        except AssertionError:
            said = "\n".join(record["message"] for record in self.records())
            raise AssertionError(f"no {event} of {entry or 'anything'} says {saying!r}, but:\n{said}") from None
        found = find()
        assert found is not None
        return found


def cpu_seconds(pid: int) -> float:
    """The processor time that a process took until now (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
