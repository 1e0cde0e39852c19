"""The packet filters of this network namespace, as the tools that are installed show them.

Here must never live: what the chains do (``core.filters``), or how a document is understood (``core.filter_text``).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from errno import EACCES, EPERM
from functools import partial
from os import strerror
from pathlib import Path
from shutil import which
from typing import Final

from routed.core.filter_text import join_chains, read_iptables, read_nft
from routed.model.diagnosis import Hidden, Obstacle, Region
from routed.model.filters import FilterChain, Ruleset

PATIENCE: Final = 20.0  # seconds; a rule set of a hundred thousand rules takes some
_NOT_A_DOCUMENT: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_LEGACY: Final = {
    "ip": ("ip_tables_names", "iptables-legacy-save"),
    "ip6": ("ip6_tables_names", "ip6tables-legacy-save"),
}
_ENGLISH: Final = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
_SAVES: Final = {"ip": "iptables-save", "ip6": "ip6tables-save"}


class ToolError(Exception):
    """A tool did not say what it was asked."""

    def __init__(self, obstacle: Obstacle, detail: str) -> None:
        super().__init__(detail)
        self.obstacle = obstacle
        self.detail = detail


def read_filters(tables: Path = Path("/proc/thread-self/net")) -> tuple[Ruleset | None, list[Hidden]]:
    """All chains, and what of them could not be looked at; None where that is all."""
    hidden: list[Hidden] = []
    groups: list[list[FilterChain]] = []
    if which("nft") is None:  # what is in nf_tables and no table of iptables, nobody else shows
        hidden.append(Hidden(Region.FIREWALL, Obstacle.TOOL, "nft"))
        if which(_SAVES["ip"]) is None:
            return None, hidden
    readings: list[tuple[Region, Callable[[], list[FilterChain]]]] = []
    if which("nft") is not None:
        readings.append((Region.FIREWALL, lambda: read_nft(json.loads(run("nft", "-j", "list", "ruleset")))))
    readings += [
        (Region.FIREWALL, partial(_read_saved, save, family))
        for family, save in _SAVES.items()
        if which(save) is not None
    ]
    readings += [
        (Region.LEGACY_FIREWALL, partial(_read_legacy, tables / file, save, family))
        for family, (file, save) in _LEGACY.items()
    ]
    for region, read in readings:
        try:
            groups.append(read())
        except ToolError as error:
            hidden.append(Hidden(region, error.obstacle, error.detail))
        except PermissionError:
            hidden.append(Hidden(region, Obstacle.RIGHTS))
        except OSError as error:
            hidden.append(Hidden(region, Obstacle.ERROR, error.strerror or str(error)))
        except _NOT_A_DOCUMENT as error:
            hidden.append(Hidden(region, Obstacle.ERROR, f"it is not understood: {error}"))
    return join_chains(*groups) if groups else None, hidden


def _read_saved(save: str, family: str) -> list[FilterChain]:
    return read_iptables(run(save), family)


def _read_legacy(names: Path, save: str, family: str) -> list[FilterChain]:
    """Nothing where no table of x_tables is in use."""
    try:
        is_used = names.read_bytes().strip()
    except FileNotFoundError:  # the module is not loaded
        return []
    return read_iptables(run(save), family, "-legacy") if is_used else []


def run(*command: str, patience: float = PATIENCE) -> str:
    """What a program prints. Raises ToolError."""
    path = which(command[0])
    if path is None:
        raise ToolError(Obstacle.TOOL, command[0])
    return _run([path, *command[1:]], patience)


def _run(command: Sequence[str], patience: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=patience, env=_ENGLISH)  # noqa: S603  a row of ours
    except subprocess.TimeoutExpired:
        raise ToolError(Obstacle.ERROR, f"{command[0]} did not answer within {patience:g} s") from None
    except OSError as error:
        raise ToolError(Obstacle.ERROR, f"{command[0]}: {error.strerror or error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip().splitlines()
        if os.geteuid() or (said and any(strerror(number) in said[0] for number in (EPERM, EACCES))):
            raise ToolError(Obstacle.RIGHTS, command[0])
        raise ToolError(Obstacle.ERROR, f"{command[0]}: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="backslashreplace")
