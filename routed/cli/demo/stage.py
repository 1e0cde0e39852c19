"""The stage: a network namespace of the demo's own, two interfaces in it, and the daemon as a process.

The one module that starts processes and makes interfaces. It never touches the namespace that the demo was called from,
and nothing of it outlives the demo: interfaces go with the namespace, and the daemon dies with its parent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from routed.cli.demo.observer import IP

OUTSIDE: Final = "ROUTED_DEMO_OUTSIDE"  # environment variable: the network namespace that the demo was called from
UNSHARE: Final = "unshare"
SETPRIV: Final = "setpriv"
INTERFACES: Final = ("wan0", "lan0")
STARTING: Final = 15.0  # seconds that the daemon may take until it answers
STOPPING: Final = 5.0  # seconds that it may take to stop

# The ways into a namespace, best first. Root may do without a user namespace; some hosts allow only it.
AS_ROOT: Final = ("--net",)
AS_ANYBODY: Final = ("--user", "--map-root-user", "--net")


class StageError(Exception):
    """The stage cannot be set; its text is for a person."""


def enter(arguments: list[str]) -> None:
    """Run this program again with these arguments, in a new network namespace; does not return. Raises StageError."""
    _extend_path()
    for program in (UNSHARE, SETPRIV, IP):
        if shutil.which(program) is None:
            raise StageError(f"there is no program {program} here; it comes with util-linux or iproute2")
    ways = (AS_ROOT, AS_ANYBODY) if os.geteuid() == 0 else (AS_ANYBODY,)
    for way in ways:
        # Where a security module restricts user namespaces, one can be made and is worth nothing: so try it out.
        if _succeeds([UNSHARE, *way, IP, "link", "set", "lo", "up"]):
            command = [UNSHARE, *way, *name_ourselves(), *arguments]
            os.execvpe(UNSHARE, command, os.environ | {OUTSIDE: read_namespace()})  # noqa: S606  our own words
    raise StageError(
        "a network namespace cannot be made here: run the demo as root, or let users have namespaces (sysctl "
        "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )


def name_ourselves() -> list[str]:
    """The words that started this program, without its arguments: they are others in a package than in a venv."""
    return sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])]


def is_inside() -> bool:
    """Is this the process that ``enter`` started? Raises StageError where it runs in no namespace of its own."""
    outside = os.environ.get(OUTSIDE)
    if outside is None:
        return False
    if outside == read_namespace() or _has_live_interfaces():
        raise StageError(f"this network namespace is not the demo's own; is {OUTSIDE} set by mistake?")
    return True


def read_namespace() -> str:
    """The network namespace of this process, such as ``net:[4026531840]``."""
    return str(Path("/proc/self/ns/net").readlink())


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for the daemon's state, its socket and its log, which goes afterwards."""
    with TemporaryDirectory(prefix="routed-demo-") as folder:
        yield Path(folder)


def make_interfaces() -> None:
    """Two veth pairs with carrier, and nothing on them. Raises CalledProcessError and StageError."""
    commands = ["link set lo up"]
    for name in INTERFACES:
        commands += [
            f"link add {name} type veth peer name {name}-far",
            f"link set {name}-far up",
            f"link set {name} up",
        ]
    subprocess.run([IP, "-batch", "-"], input="\n".join(commands), text=True, check=True)  # noqa: S603  our own words
    # Carrier is told with up to a second's delay (net/core/link_watch.c); until then routes read linkdown.
    end = time.monotonic() + STARTING
    while not set(INTERFACES) <= {link["ifname"] for link in _show_links() if link["operstate"] == "UP"}:
        if time.monotonic() > end:
            raise StageError("the interfaces of the demo do not come up")
        time.sleep(0.01)


@contextmanager
def running_daemon(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``routed run`` on this file, from its first answer until the end of the block. Raises StageError."""
    places = ["--config", str(config), "--state-dir", str(folder / "state"), "--runtime-dir", str(folder)]
    # Should the demo be killed, the kernel kills the daemon.
    command = [SETPRIV, "--pdeathsig", "KILL", *name_ourselves(), *places, "run", "--log-format", "json"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log) as process,  # noqa: S603  our own words
    ):
        try:
            _wait_until_ready(process, folder)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the record that the first pass is over."""
    end = time.monotonic() + STARTING
    with Log(folder) as log:
        while time.monotonic() < end and process.poll() is None:
            if any(record["fields"].get("ROUTED_EVENT") == "started" for record in log.read()):
                return
            time.sleep(0.01)
    raise StageError("the daemon did not start: " + (folder / "log").read_text(encoding="utf-8", errors="replace"))


class Log:
    """The daemon's JSON log, read as it grows."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "log").open(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> list[dict[str, Any]]:
        """The records that came since the last call."""
        return [json.loads(line) for line in self._file if line.startswith("{")]


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  our own words


def _has_live_interfaces() -> bool:
    return any(link["ifname"] != "lo" and "UP" in link["flags"] for link in _show_links())


def _show_links() -> list[dict[str, Any]]:
    done = subprocess.run([IP, "-j", "link", "show"], capture_output=True, check=True)  # noqa: S603  our own words
    return [link for link in json.loads(done.stdout or b"[]") if link]


def _extend_path() -> None:
    # ip stands in /usr/sbin, which an ordinary user's PATH does not always hold.
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
