"""``[[source]]`` as the model has it: the rules between its keys, by type in one table.

Here must never live: how a source is asked (``daemon.followers``), or who is a member.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from routed.intent.check_table import HIDDEN, find_state, find_writer
from routed.intent.convert import FaultsError
from routed.intent.gather import prefix_path
from routed.intent.problems import Fault
from routed.intent.schema_members import SourceTable
from routed.intent.words import one_of
from routed.model import net
from routed.model.entries import Origin
from routed.model.members import DnsSource, ExecSource, FileSource, MemberSource, SourceOptions, SourceType
from routed.model.net import family_of
from routed.secrets import find_keeper

if TYPE_CHECKING:
    from routed.model.etcd import EtcdSource

SHORTEST: Final = 1.0  # seconds between two questions
PATIENCE: Final = 10.0  # seconds that a program may take where the file does not say


class UsedPath(NamedTuple):
    """A path that asking the source needs, and how: a mode of access(2)."""

    key: str
    path: str
    mode: int


class _TypeRow(NamedTuple):
    """What a type is written with, beside the keys of every source, and what that comes to."""

    keys: frozenset[str]
    needed: tuple[str, ...]
    make: Callable[[SourceTable, Origin], SourceOptions]  # may raise FaultsError
    list_used: Callable[[Any], tuple[UsedPath, ...]] = lambda _: ()


def _make_file(spec: SourceTable, origin: Origin) -> FileSource:
    return FileSource(prefix_path(origin.file, spec.path or ""))


def _make_exec(spec: SourceTable, origin: Origin) -> ExecSource:
    del origin
    every, command = spec.every or 0.0, spec.command or ("",)
    timeout = spec.timeout or min(PATIENCE, every or PATIENCE)
    faults = list(_check_times(every, timeout))
    if command[0].startswith(HIDDEN):
        message = "`command`: whoever runs it does not see this folder (PrivateTmp=, ProtectHome=)"
        faults.append(Fault(("command",), message, "use /usr/local/libexec"))
    if faults:
        raise FaultsError(*faults)
    return ExecSource(command, timeout, spec.user or "", every)


def _check_times(every: float, timeout: float) -> Iterator[Fault]:
    if every and every < SHORTEST:
        yield Fault(("every",), f"`every` must not be shorter than {SHORTEST:g}s")
    if every and timeout > every:
        yield Fault(("timeout",), "`timeout` must not be longer than `every`")


def _list_programs(options: ExecSource) -> tuple[UsedPath, ...]:
    return (UsedPath("command", options.command[0], os.X_OK),)


def _make_dns(spec: SourceTable, origin: Origin) -> DnsSource:
    del origin
    hosts = tuple(one.removesuffix(".").lower() for one in spec.hosts or ())
    default = DnsSource()
    every, timeout = spec.every or default.every, spec.timeout or default.timeout
    faults = list(_check_times(every, 0.0))
    if not hosts and not spec.srv:
        faults.append(Fault((), "`hosts` is missing, or `srv`: a source of type dns needs one of them"))
    if hosts and spec.srv:
        faults.append(Fault(("srv",), "`hosts` and `srv` exclude each other", "write a [[source]] for each"))
    if len(set(hosts)) < len(hosts):
        faults.append(Fault(("hosts",), "`hosts` names one twice"))
    if faults:
        raise FaultsError(*faults)
    families = tuple(sorted({family_of(one) for one in spec.addresses_within or ()})) or default.families
    servers = tuple(spec.servers or ())
    return DnsSource(hosts, (spec.srv or "").removesuffix("."), servers, every, timeout, families)


def _make_etcd(spec: SourceTable, origin: Origin) -> SourceOptions:
    from routed.intent.etcd_source import make_etcd  # noqa: PLC0415  only files with etcd pay for it

    return make_etcd(spec, origin)


def _list_etcd_files(options: EtcdSource) -> tuple[UsedPath, ...]:
    """Those of TLS and the password; a credential of the unit is there for the daemon alone."""
    settings = options.settings
    named = [*(("tls", one) for one in settings.tls), ("password_file", settings.password_file)]
    return tuple(UsedPath(key, path, os.R_OK) for key, path in named if path.startswith("/"))


EVERY: Final = frozenset(
    {
        "name", "type", "prefixes_within", "addresses_within", "gone_after", "max_loss", "on_empty", "on_stale",
        "cache", "disabled",
    }
)  # fmt: skip
TYPES: Final[Mapping[SourceType, _TypeRow]] = {
    SourceType.FILE: _TypeRow(frozenset({"path"}), ("path",), _make_file),
    SourceType.EXEC: _TypeRow(
        frozenset({"command", "user", "every", "timeout"}), ("command",), _make_exec, _list_programs
    ),
    SourceType.ETCD: _TypeRow(
        frozenset({"endpoints", "prefix", "format", "tls", "username", "password_file", "registration"}),
        ("endpoints", "prefix"),
        _make_etcd,
        _list_etcd_files,
    ),
    SourceType.DNS: _TypeRow(frozenset({"hosts", "srv", "servers", "every", "timeout"}), (), _make_dns),
}


def convert_source(spec: SourceTable, origin: Origin) -> MemberSource:
    """One ``[[source]]``. Raises FaultsError with everything that is wrong with it."""
    faults = [Fault((), f"`{key}` is missing") for key in spec.list_missing()]
    if spec.type is None:
        raise FaultsError(*faults)
    kind = SourceType(spec.type)
    faults += [*_check_keys(spec, kind), *_check_bounds(spec)]
    options = None
    try:
        options = TYPES[kind].make(spec, origin)
    except FaultsError as error:
        faults += error.faults
    if faults or options is None:
        raise FaultsError(*faults)
    return MemberSource(
        name=spec.name or "",
        origin=origin,
        type=kind,
        options=options,
        prefixes_within=tuple(spec.prefixes_within or ()),
        addresses_within=tuple(spec.addresses_within or ()),
        gone_after=spec.gone_after or 0.0,
        max_loss=spec.max_loss,
        holds_empty=spec.on_empty == "hold",
        stale_after=spec.on_stale,
        is_cached=spec.cache,
    )


def _check_bounds(spec: SourceTable) -> Iterator[Fault]:
    """A member must never be where everything else goes."""
    for index, prefix in enumerate(spec.prefixes_within or ()):
        if not prefix[-1]:
            message = f"{net.format_prefix(prefix)} allows a member to be the default route"
            yield Fault(
                ("prefixes_within", index), f"`prefixes_within`: {message}", "write which prefixes members have"
            )


def find_untrusted(source: MemberSource) -> Fault | None:
    """Why others than root could say who is a member; None where nobody could, and of what is not there yet."""
    programs = (one for one in TYPES[source.type].list_used(source.options) if one.mode == os.X_OK)
    return next((fault for one in programs if (fault := find_writer(one.key, one.path))), None)


def find_lack(source: MemberSource) -> tuple[str, str] | None:
    """The key, and what this source of this file system will want once it is asked; None where nothing."""
    for key, path, mode in TYPES[source.type].list_used(source.options):
        if state := find_state(path, mode) or _find_owner(path, mode):
            return key, f"{path} {state}, so source/{source.name} cannot be asked"
    return None


def _find_owner(path: str, mode: int) -> str:
    """What keeps the daemon from reading it, whatever whoever asks may do; empty where nothing does."""
    keeper = find_keeper(path) if mode == os.R_OK else ""
    cure = f"name a credential, by LoadCredential=NAME:{path} in routed.service"
    return f"is not the daemon's to read, as {keeper} is not root's ({cure})" if keeper else ""


def _check_keys(spec: SourceTable, kind: SourceType) -> Iterator[Fault]:
    """Keys of other types, and those that this one lacks."""
    row = TYPES[kind]
    for key in sorted(spec.model_fields_set - EVERY - row.keys):
        users, written = (
            [one for one, its in TYPES.items() if key in its.keys],
            SourceTable.model_fields[key].alias or key,
        )
        yield Fault((written,), f"`{written}`: a source of type {kind} has none", f"it goes with {one_of(users)}")
    for key in row.needed:
        if not getattr(spec, key):
            yield Fault((), f"`{key}` is missing: a source of type {kind} needs it")
