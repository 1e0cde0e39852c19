"""What a doctor finds on a host: what is wrong, and with what it is told.

Here must never live: how it is found (``core.doctor``), or words for a person (``audit.diagnoses``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Severity(StrEnum):
    """How bad it is, from good to bad; what could not be looked at is neither."""

    NOTE = "note"  # worth knowing
    WARNING = "warning"  # it works now, and something can take that away; or a part of it does not work
    ERROR = "error"  # something that the files want does not work
    UNSEEN = "unseen"  # nobody knows


class Ailment(StrEnum):
    """What is wrong. Each has a name that scripts may rely on."""

    SYSCTL = "sysctl"
    NETWORKD_ROUTES = "networkd-routes"
    NETWORKD_RULES = "networkd-rules"
    NETWORKD_ADDRESSES = "networkd-addresses"
    MANAGER_ROUTES = "networkmanager-routes"
    MANAGER_TABLES = "networkmanager-tables"
    FOREIGN_ROUTES = "foreign-routes"
    FOREIGN_RULE = "foreign-rule"
    IPVS_RIVAL = "ipvs-rival"
    TAKEN_PROTOCOL = "protocol-taken"
    FIREWALL = "firewall"
    TWICE_HERE = "address-twice"
    ELSEWHERE = "address-elsewhere"
    FAILED_DAD = "address-failed"
    NO_PROXY = "vip-unanswered"
    UNUSED_TABLE = "table-unused"
    EMPTY_TABLE = "table-empty"
    DEAD_RULE = "rule-dead"
    SHADOWED = "shadowed"
    KERNEL_RULES = "kernel-rules"
    STATE_READ_ONLY = "state-read-only"
    STATE_FULL = "state-full"
    STATE_UNSAVED = "state-unsaved"
    CLOCK_BEHIND = "clock-behind"
    CLOCK_FREE = "clock-free"
    JOURNAL_VOLATILE = "journal-volatile"
    UNIT = "unit"
    CAPABILITY = "capability"
    NO_DAEMON = "no-daemon"
    NOT_SEEN = "not-seen"


SEVERITIES: Final[Mapping[Ailment, Severity]] = {
    Ailment.SYSCTL: Severity.WARNING,
    Ailment.NETWORKD_ROUTES: Severity.WARNING,
    Ailment.NETWORKD_RULES: Severity.WARNING,
    Ailment.NETWORKD_ADDRESSES: Severity.WARNING,
    Ailment.MANAGER_ROUTES: Severity.WARNING,
    Ailment.MANAGER_TABLES: Severity.WARNING,
    Ailment.FOREIGN_ROUTES: Severity.WARNING,
    Ailment.FOREIGN_RULE: Severity.WARNING,
    Ailment.IPVS_RIVAL: Severity.WARNING,
    Ailment.TAKEN_PROTOCOL: Severity.WARNING,
    Ailment.FIREWALL: Severity.ERROR,
    Ailment.TWICE_HERE: Severity.WARNING,
    Ailment.ELSEWHERE: Severity.ERROR,
    Ailment.FAILED_DAD: Severity.ERROR,
    Ailment.NO_PROXY: Severity.WARNING,
    Ailment.UNUSED_TABLE: Severity.WARNING,
    Ailment.EMPTY_TABLE: Severity.NOTE,
    Ailment.DEAD_RULE: Severity.WARNING,
    Ailment.SHADOWED: Severity.ERROR,
    Ailment.KERNEL_RULES: Severity.ERROR,
    Ailment.STATE_READ_ONLY: Severity.ERROR,
    Ailment.STATE_FULL: Severity.WARNING,
    Ailment.STATE_UNSAVED: Severity.ERROR,
    Ailment.CLOCK_BEHIND: Severity.ERROR,
    Ailment.CLOCK_FREE: Severity.NOTE,
    Ailment.JOURNAL_VOLATILE: Severity.WARNING,
    Ailment.UNIT: Severity.ERROR,
    Ailment.CAPABILITY: Severity.ERROR,
    Ailment.NO_DAEMON: Severity.UNSEEN,
    Ailment.NOT_SEEN: Severity.UNSEEN,
}


class Diagnosis(NamedTuple):
    """One thing that works against what the files want."""

    ailment: Ailment
    entry: str = ""  # that suffers; empty where it is all of them
    details: Mapping[str, Any] = {}  # what its words are made of: each ailment has its own

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return SEVERITIES[self.ailment]


class Region(StrEnum):
    """Something of a host that could not be looked at."""

    STATE = "state"
    FIREWALL = "firewall"
    LEGACY_FIREWALL = "legacy-firewall"
    NEIGHBOURS = "neighbours"
    PROXIES = "proxies"
    UNIT = "unit"
    CAPABILITIES = "capabilities"
    PROFILES = "networkmanager-profiles"
    FILE = "file"
    DAEMON = "daemon"


class Obstacle(StrEnum):
    """Why something could not be looked at."""

    RIGHTS = "rights"  # of this user
    TOOL = "tool"  # that is not installed
    ERROR = "error"
    MANY = "many"  # of them, and some were looked at


class Hidden(NamedTuple):
    """What could not be looked at."""

    region: Region
    obstacle: Obstacle
    detail: str = ""  # the tool that is missing, the error, or how many were looked at


class Setting(NamedTuple):
    """One line of a file of settings such as networkd.conf(5)."""

    file: str
    line: int  # from 1
    section: str
    key: str
    value: str


class NetworkdState(NamedTuple):
    """What systemd-networkd does on this host."""

    settings: tuple[Setting, ...] = ()  # of networkd.conf and its drop-ins, in the order in which they count
    managed: Mapping[str, str] = {}  # name of a link that it configures → its .network file
    links: Mapping[str, tuple[Setting, ...]] = {}  # the same → the settings of that file and its drop-ins
    drop_in: str = "routed.conf"  # a name of a drop-in that comes behind all that there are


class Profile(NamedTuple):
    """A connection of NetworkManager that has route tables of its own."""

    name: str
    setting: Setting


class ManagerState(NamedTuple):
    """What NetworkManager does on this host."""

    managed: Mapping[str, str] = {}  # name of a link that it configures → how that is known
    profiles: tuple[Profile, ...] = ()
    drop_in: str = "routed.conf"


class RivalProgram(NamedTuple):
    """A process in this network namespace that may change what is ours."""

    comm: str
    pid: int
    unit: str = ""  # of systemd


class StrangeRoutes(NamedTuple):
    """Routes of others in one table that the files fill."""

    family: int
    table: int
    protocol: int
    number: int  # of them
    first: str  # as ``ip route`` has it


class StorageState(NamedTuple):
    """The file system with the state folder."""

    path: str
    mount: str
    is_read_only: bool
    free: int  # bytes that are left for root
    size: int  # bytes
    free_files: int = 1_000_000


class ClockState(NamedTuple):
    """What the clock says, and what it cannot be before. Seconds since 1970."""

    now: float
    built: float
    newest: float = 0.0  # revision
    newest_number: int = 0
    is_synchronised: bool | None = None


class JournalState(NamedTuple):
    """Where journald keeps its records."""

    storage: str = "auto"  # of journald.conf(5)
    setting: Setting | None = None
    has_folder: bool = False  # is there /var/log/journal?
    drop_in: str = "routed.conf"


class UnitState(NamedTuple):
    """The service unit, as ``systemctl show`` has it, and what its process may do."""

    properties: Mapping[str, str] = {}
    pid: int = 0
    capabilities: int | None = None  # CapEff of the process that runs
