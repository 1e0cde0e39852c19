"""What the files of a host say of its network managers and its journal, under any root folder.

Here must never live: what follows from it (``core.doctor``).
Sources: networkd.conf(5), journald.conf(5) and their drop-ins; NetworkManager.conf(5). Which links networkd manages
stands in /run/systemd/netif/links (sd-network(3)), which NetworkManager does in /run/NetworkManager/devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from routed.core.settings import read_settings
from routed.model.diagnosis import (
    Hidden,
    JournalState,
    ManagerState,
    NetworkdState,
    Obstacle,
    Profile,
    Region,
    Setting,
)
from routed.model.facts import Link

FOLDERS: Final = ("etc", "run", "usr/local/lib", "usr/lib")  # the first that has a name counts
LAST: Final = "routed.conf"
_UNMANAGED: Final = "unmanaged"
_PROFILES: Final = ("etc", "run", "usr/lib")


class HostFiles:
    """The files under one root; what could not be read is in ``hidden``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self.hidden: list[Hidden] = []

    def read_networkd(self, links: Iterable[Link], *, is_running: bool) -> NetworkdState | None:
        """What networkd does; None where it neither runs nor is going to."""
        wants = self._root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        if not is_running and not wants.is_symlink():
            return None
        settings, names = self._read_all("systemd/networkd.conf")
        managed: dict[str, str] = {}
        by_link: dict[str, tuple[Setting, ...]] = {}
        for link in links:
            state = self._read_pairs(f"run/systemd/netif/links/{link.ifindex}")
            file = state.get("NETWORK_FILE", "")
            if file and state.get("ADMIN_STATE", _UNMANAGED) != _UNMANAGED:
                managed[link.name] = file
                by_link[link.name] = tuple(self._read_network(file))
        return NetworkdState(tuple(settings), managed, by_link, _name_last(names))

    def read_manager(self, links: Iterable[Link], *, is_running: bool) -> ManagerState | None:
        """What NetworkManager does; None where it does not run."""
        if not is_running:
            return None
        settings, names = self._read_all("NetworkManager/NetworkManager.conf", "NetworkManager/conf.d")
        patterns = _list_unmanaged(settings)
        managed: dict[str, str] = {}
        for link in links:
            state = f"run/NetworkManager/devices/{link.ifindex}"
            said = next((one.value for one in self._read(state) if one.key == "managed"), "")
            if link.name != "lo" and (said == "true" or (not said and not _is_unmanaged(link, patterns))):
                managed[link.name] = f"/{state}: managed=true" if said else "NetworkManager.conf(5) names it nowhere"
        return ManagerState(managed, tuple(self._read_profiles()), _name_last(names))

    def read_journal(self) -> JournalState | None:
        """Where journald keeps its records; None where it does not run."""
        if not (self._root / "run/systemd/journal").is_dir():
            return None
        settings, names = self._read_all("systemd/journald.conf")
        found = [one for one in settings if (one.section, one.key) == ("Journal", "Storage")]
        setting = found[-1] if found else None
        has_folder = (self._root / "var/log/journal").is_dir()
        return JournalState(setting.value if setting else "auto", setting, has_folder, _name_last(names))

    def _read_network(self, file: str) -> Iterator[Setting]:
        yield from self._read(file.lstrip("/"))
        name = file.rpartition("/")[2]
        for drop_in in self._find_drop_ins(f"systemd/network/{name}.d").values():
            yield from self._read(drop_in)

    def _read_profiles(self) -> Iterator[Profile]:
        """The connections that say which table is theirs."""
        for folder in _PROFILES:
            for path in self._list(f"{folder}/NetworkManager/system-connections", "*.nmconnection", Region.PROFILES):
                settings = list(self._read(path, Region.PROFILES))
                name = next((one.value for one in settings if (one.section, one.key) == ("connection", "id")), "")
                for one in settings:
                    if one.section in {"ipv4", "ipv6"} and one.key == "route-table" and one.value != "0":
                        yield Profile(name, one)

    def _read_all(self, name: str, drop_ins: str = "") -> tuple[list[Setting], list[str]]:
        """The settings of a file and its drop-ins in the order in which they count, and the names of those."""
        main = next((f"{folder}/{name}" for folder in FOLDERS if (self._root / folder / name).exists()), "")
        found = self._find_drop_ins(drop_ins or f"{name}.d")
        settings = [one for path in (main, *found.values()) if path for one in self._read(path)]
        return settings, list(found)

    def _find_drop_ins(self, folder: str) -> dict[str, str]:
        """By their names, in the order of these; a link to /dev/null takes one away."""
        found: dict[str, str] = {}
        for place in FOLDERS:
            for path in self._list(f"{place}/{folder}", "*.conf", Region.FILE):
                found.setdefault(path.rpartition("/")[2], path)
        return {name: found[name] for name in sorted(found)}

    def _list(self, folder: str, pattern: str, region: Region) -> list[str]:
        try:
            return sorted(str(path.relative_to(self._root)) for path in (self._root / folder).iterdir()
                          if fnmatchcase(path.name, pattern))  # fmt: skip
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._hide(region, f"/{folder}", error)
            return []

    def _read(self, path: str, region: Region = Region.FILE) -> Iterator[Setting]:
        """The settings of one file, whose name is told as it is on the host itself."""
        try:
            text = (self._root / path).read_text(encoding="utf-8", errors="backslashreplace")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self._hide(region, f"/{path}", error)
            return
        yield from read_settings(text, f"/{path}")

    def _read_pairs(self, path: str) -> Mapping[str, str]:
        return {one.key: one.value for one in self._read(path)}

    def _hide(self, region: Region, path: str, error: OSError) -> None:
        is_refused = isinstance(error, PermissionError)
        obstacle = Obstacle.RIGHTS if is_refused else Obstacle.ERROR
        self.hidden.append(Hidden(region, obstacle, f"{path}: {error.strerror or error}"))


def _name_last(names: Iterable[str]) -> str:
    """A name for a drop-in of ours that comes behind all of these."""
    last = max((name for name in names if name != LAST), default="")
    return LAST if last < LAST else f"zz-{LAST}" if last < f"zz-{LAST}" else f"{last.removesuffix('.conf')}_{LAST}"


def _list_unmanaged(settings: Iterable[Setting]) -> list[str]:
    """What ``unmanaged-devices`` comes to: a later one counts in place of it, or is added to it with ``+=``."""
    found: list[str] = []
    for one in settings:
        if one.section == "keyfile" and one.key in {"unmanaged-devices", "unmanaged-devices+"}:
            given = [part.strip() for part in one.value.replace(",", ";").split(";") if part.strip()]
            found = [*found, *given] if one.key.endswith("+") else given
    return found


def _is_unmanaged(link: Link, patterns: Iterable[str]) -> bool:
    """Source: "Device List Format" of NetworkManager.conf(5)."""
    is_named = False
    for pattern in patterns:
        is_except = pattern.startswith("except:")
        kind, colon, value = pattern.removeprefix("except:").partition(":")
        is_it = pattern == "*"
        if colon and kind == "interface-name":
            is_it = fnmatchcase(link.name, value.removeprefix("="))
        elif colon and kind == "type":
            is_it = value == (link.kind or "ethernet")
        elif (colon and kind == "mac") or pattern.count(":") == 5:
            with suppress(ValueError):
                is_it = bytes.fromhex((value if kind == "mac" else pattern).replace(":", "")) == link.mac
        if is_it and is_except:
            return False
        is_named = is_named or is_it
    return is_named
