"""Limits: did the control group of this process come to one meanwhile?

All commands share the group of their helper. One that takes all its memory or processes lets others fail as well, and
what these say then is no answer. Source of the files: cgroup-v2.rst of the kernel; the local ones are there since
Linux 5.2. Here must never live what follows.
"""

from __future__ import annotations

from typing import Final

Reached = dict[str, int]  # how often, by the setting of systemd.resource-control(5)

_OURS: Final = b"/routed-exec.service"
MOUNT: Final = b"/sys/fs/cgroup"
_COUNTERS: Final = {"TasksMax": (b"pids.events", b"max"), "MemoryMax": (b"memory.events.local", b"oom_kill")}


def find_group() -> bytes:
    """The folder of our group; empty where there is none of version 2, or where others are in it as well."""
    lines = _read(b"/proc/self/cgroup").splitlines()
    group = next((line[3:] for line in lines if line.startswith(b"0::")), b"")
    return MOUNT + group if group.endswith(_OURS) else b""


def count_reached(group: bytes) -> Reached:
    """How often each limit was reached up to now. What is not counted here is left out."""
    reached = {}
    for setting, (name, key) in _COUNTERS.items():
        for words in map(bytes.split, _read(group + b"/" + name).splitlines()):
            if len(words) == 2 and words[0] == key:
                reached[setting] = int(words[1])
    return reached


def find_reached(before: Reached, after: Reached) -> str:
    """The first limit that was reached in between; empty where none was."""
    return next((setting for setting, times in after.items() if times > before.get(setting, times)), "")


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib costs 3 ms
            return file.read()
    except OSError:
        return b""
