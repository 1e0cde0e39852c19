"""Sysctls that something in the files takes, and those that stand otherwise."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Sysctl: TypeAlias = tuple[str, ...]  # the parts of its name: a link's may have a dot in it


class SysctlNeed(NamedTuple):
    """Sysctls of which the highest value counts, and has to be a good one."""

    word: str  # in ``[ipvs] sysctl``
    names: tuple[Sysctl, ...]  # from that of all links to that of one
    good: tuple[int, ...]  # values; the first is the one to set
    entry: str  # that takes it; empty where the file says so


class SysctlLack(NamedTuple):
    """One sysctl that stands otherwise."""

    need: SysctlNeed
    name: Sysctl
    value: int
    wanted: int
