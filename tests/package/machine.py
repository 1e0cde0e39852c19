"""A small Debian that systemd has booted in namespaces of its own, within seconds: for what needs systemd, dpkg and
journald, but no kernel of its own. What needs one is in tests/vm.

Its files are an overlay over a directory that it never changes; its network is that of the calling thread. Here must
never live: anything about routed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kernel.netns import wait_until

PATIENCE: Final = 60.0  # seconds; only a failing test takes them

# Its arguments: the directory with the files, and a cgroup that is its own. What systemd wants to find is said in
# https://systemd.io/CONTAINER_INTERFACE. It alone sees these mounts.
BOOT: Final = r"""
set -e
echo $$ >"$2/cgroup.procs"
exec unshare --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL sh -ec '
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/changes /mnt/work /mnt/root
    mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/changes,workdir=/mnt/work" /mnt/root
    cd /mnt/root
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    for directory in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs $directory; done
    chmod 1777 tmp
    for device in null zero full random urandom tty; do
        touch dev/$device
        mount --bind /dev/$device dev/$device
    done
    mkdir dev/shm dev/pts
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    pivot_root . .
    umount -l .
    chroot . mount --make-rshared / # or nothing that systemd mounts for a unit is seen by it, such as its credentials
    exec env -i container=test PATH=/usr/sbin:/usr/bin chroot . /lib/systemd/systemd --show-status=no
' - "$1"
"""
ENTER: Final = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd")


class Machine:
    """One booted system."""

    def __init__(self, init: int) -> None:
        self._init = init  # its pid 1, as this host sees it

    def open(self, *command: str) -> subprocess.Popen[str]:
        """Start a command inside, as root, that reads what is written to it."""
        return subprocess.Popen(
            ["nsenter", f"--target={self._init}", *ENTER, *command], stdin=subprocess.PIPE, text=True
        )

    def run(self, *command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        done = subprocess.run(
            ["nsenter", f"--target={self._init}", *ENTER, *command], capture_output=True, text=True, check=False
        )
        assert may_fail or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def ask(self, *command: str) -> str:
        """What a command prints."""
        return self.run(*command).stdout.strip()

    def path(self, name: str) -> Path:
        """A file inside, as this host reaches it."""
        return Path(f"/proc/{self._init}/root{name}")

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The records of the journal."""
        self.run("journalctl", "--sync")
        lines = self.ask("journalctl", "--no-pager", "--output=json", *matches).splitlines()
        return [json.loads(line) for line in lines]

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.ask("systemctl", "show", "--value", f"--property={name}", unit)


@contextmanager
def booted(root: Path, log: Path) -> Iterator[Machine]:
    """A machine with the files of ``root``, in the network namespace of the calling thread. ``log`` is its console."""
    group = make_cgroup()
    command = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", BOOT, "-", str(root), str(group)]
    with (
        log.open("wb") as console,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console) as process,
    ):
        try:
            yield Machine(wait_for_init(process, log))
        finally:
            process.kill()
            process.wait()
            remove_cgroup(group)


def wait_for_init(process: subprocess.Popen[bytes], log: Path) -> int:
    """The pid of the machine's init, when it has started what it starts."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def is_up() -> bool:
        assert process.poll() is None, f"the machine ended:\n{log.read_text()}"
        pids = children.read_text().split()
        if not pids or Path(f"/proc/{pids[0]}/comm").read_text() != "systemd\n":
            return False
        done = Machine(int(pids[0])).run("systemctl", "is-system-running", may_fail=True)
        return done.stdout.strip() in {"running", "degraded"}

    wait_until(is_up, PATIENCE)
    return int(children.read_text().split()[0])


def make_cgroup() -> Path:
    """A cgroup of its own in the unified hierarchy, wherever that is mounted. Skips where none can be made."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            group = Path(before.split()[4]) / f"routed-test-{os.getpid()}"
            with suppress(OSError):
                group.mkdir(exist_ok=True)
                return group
    pytest.skip("no cgroup can be made here, so no systemd can be booted: THE PACKAGE IS NOT TESTED AT WORK")


def remove_cgroup(group: Path) -> None:
    """Remove it with all that systemd made inside, once its processes are gone."""

    def is_gone() -> bool:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        return not group.exists()

    for pid in _pids_in(group):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(is_gone, PATIENCE)


def _pids_in(group: Path) -> list[int]:
    return [int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]
