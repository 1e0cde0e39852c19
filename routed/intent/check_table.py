"""``[[check]]`` as the model has it, and whether every ``requires`` names one.

Here stand the rules between its keys, by type in one table. How a check is asked is no concern of this floor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from routed.intent.checks import LINK_LOCAL
from routed.intent.problems import Fault
from routed.intent.schema_check import CheckTable
from routed.intent.selectors import find_unknown_references
from routed.intent.words import one_of
from routed.model.checks import KEPT, Check, CheckType, Target
from routed.model.entries import Origin
from routed.model.net import family_of, format_address, is_inside
from routed.model.trust import find_writable


class _Words(NamedTuple):
    """What a type is written with, beside the keys of every check."""

    keys: frozenset[str]
    port: int | None = None  # where none is written; None: one has to be written; 0: there is none
    needed: tuple[str, ...] = ()


_PATH: Final = frozenset({"target", "targets", "need", "dev", "src", "via"})
_QUALITY: Final = frozenset({"loss", "rtt", "window"})
_TEXT: Final = _PATH | {"send", "expect"}
_TLS: Final = frozenset({"host", "verify", "ca"})
_HTTP: Final = _PATH | {"host", "path", "method", "status", "body", "headers_file"}
_EVERY: Final = frozenset({"name", "type", "every", "timeout", "fall", "rise", "fast", "hold", "disabled"})

FEWEST: Final = 12  # questions of a window, so that ten of them have been answered

TYPES: Final[dict[CheckType, _Words]] = {
    CheckType.ICMP: _Words(_PATH | _QUALITY, 0),
    CheckType.ARP: _Words(_PATH - {"via"}, 0, ("dev",)),
    CheckType.TCP: _Words(_TEXT),
    CheckType.TLS: _Words(_TEXT | _TLS, 443),
    CheckType.HTTP: _Words(_HTTP, 80),
    CheckType.HTTPS: _Words(_HTTP | _TLS, 443),
    CheckType.DNS: _Words(_PATH | {"query", "record"}, 53, ("query",)),
    CheckType.UDP: _Words(_TEXT, None, ("send",)),
    CheckType.FILE: _Words(frozenset({"file"}), 0, ("file",)),
    CheckType.EXEC: _Words(frozenset({"command", "user"}), 0, ("command",)),
}
HIDDEN: Final = ("/tmp/", "/var/tmp/", "/home/", "/root/")  # noqa: S108  the shipped unit does not see them


def convert_check(spec: CheckTable, origin: Origin, interfaces: frozenset[str] | None) -> Check | tuple[Fault, ...]:
    """One ``[[check]]``, or everything that is wrong with it."""
    faults = [Fault((), f"`{key}` is missing") for key in spec.list_missing()]
    if spec.type is None:
        return tuple(faults)
    type_ = CheckType(spec.type)
    faults += [*_check_keys(spec, type_), *_check_trust(spec, type_)]
    faults += find_unknown_references(spec, interfaces)
    targets = _list_targets(spec, type_, faults)
    every = spec.every or 5.0
    timeout = spec.timeout or min(2.0, every / 2)
    if timeout > every:
        faults.append(Fault(("timeout",), "`timeout` must not be longer than `every`"))
    need = {"any": 1, "all": max(1, len(targets))}.get(str(spec.need), spec.need)
    if isinstance(need, int) and targets and need > len(targets):
        faults.append(Fault(("need",), f"`need` is {need}, and there are {len(targets)} targets"))
    window = spec.window or 60.0
    faults += _check_window(spec, every, window)
    if faults:
        return tuple(faults)
    return Check(
        name=spec.name or "",
        origin=origin,
        type=type_,
        targets=targets,
        need=int(need),
        every=every,
        timeout=timeout,
        fall=spec.fall,
        rise=spec.rise,
        fast=spec.fast or find_fast(every),
        hold=(30.0 if spec.via else 0.0) if spec.hold is None else spec.hold,
        loss=spec.loss,
        rtt=spec.rtt,
        window=window,
        dev=spec.dev or "",
        src=spec.src or b"",
        via=spec.via or b"",
        host=spec.host or "",
        path=spec.path or "/",
        method=spec.method or "GET",
        status=spec.status or ((200, 399),),
        body=spec.body or "",
        headers_file=spec.headers_file or "",
        verify=bool(spec.host or spec.ca) if spec.verify is None else spec.verify,
        ca=spec.ca or "",
        send=spec.send or "",
        expect=spec.expect or "",
        query=spec.query or "",
        record=spec.record or "A",
        file=spec.file or "",
        command=spec.command or (),
        user=spec.user or "",
    )


def find_fast(every: float) -> float:
    """Seconds between two questions while in doubt, where the file does not say."""
    return max(every / 5, min(every, 0.5))


def find_lack(check: Check) -> tuple[str, str] | None:
    """The key, and what a check of this file system will want once it is asked; None where nothing."""
    command = check.command[0] if check.command else ""
    for key, path, mode in (("command", command, os.X_OK), ("ca", check.ca, os.R_OK)):
        if state := find_state(path, mode):
            return key, f"{path} {state}, so {check.entry} cannot be made"
    if check.ca.startswith(HIDDEN):
        return "ca", f"routed.service does not see {check.ca} (PrivateTmp=, ProtectHome=): {check.entry} fails there"
    return None


def _check_keys(spec: CheckTable, type_: CheckType) -> Iterator[Fault]:
    words = TYPES[type_]
    for key in sorted(spec.model_fields_set - _EVERY - words.keys):
        users = [one for one, its in TYPES.items() if key in its.keys]
        yield Fault((key,), f"`{key}`: a check of type {type_} has none", f"it goes with {one_of(users)}")
    for key in words.needed:
        if getattr(spec, key) is None:
            yield Fault((), f"`{key}` is missing: a check of type {type_} needs it")
    if spec.target is not None and spec.targets is not None:
        yield Fault(("targets",), "`target` and `targets` exclude each other")
    if spec.via and is_inside(spec.via, LINK_LOCAL) and not spec.dev:
        yield Fault(("via",), f"`via`: {format_address(spec.via)} is on every link", "write `dev` too")
    if spec.method == "HEAD" and spec.body:
        yield Fault(("body",), "`body`: an answer to HEAD has none")
    for key, (path, who, instead) in _list_paths(spec).items():
        if path.startswith(HIDDEN):
            message = f"`{key}`: {who} does not see this folder (PrivateTmp=, ProtectHome=)"
            yield Fault((key,), message, f"use {instead}")


def _check_trust(spec: CheckTable, type_: CheckType) -> Iterator[Fault]:
    if spec.verify is False and spec.ca:
        yield Fault(("ca",), "`ca` and `verify = false` exclude each other")
    if spec.verify and not spec.host and type_ in {CheckType.TLS, CheckType.HTTPS}:
        yield Fault(("verify",), "`verify` needs `host`: the name that the certificate has to be for")


def _list_paths(spec: CheckTable) -> dict[str, tuple[str, str, str]]:
    """Key → the path that it names, who has to see it, and a folder where it is seen."""
    return {
        "headers_file": (spec.headers_file or "", "the daemon", "/etc/routed"),
        "file": (spec.file or "", "the daemon", "/run"),
        "command": (spec.command[0] if spec.command else "", "whoever runs it", "/usr/local/libexec"),
    }


def find_untrusted(check: Check) -> Fault | None:
    """Why others than root could say what this check finds; None where nobody could, and of what is not there yet."""
    key, path = ("command", check.command[0]) if check.command else ("file", check.file)
    return find_writer(key, path)


def find_state(path: str, mode: int) -> str:
    """What keeps this path from being used so: a mode of access(2). Empty where nothing does, or there is none."""
    if not path or os.access(path, mode):
        return ""
    verb = "executed" if mode == os.X_OK else "read"
    return f"cannot be {verb}" if _is_there(path) else "does not exist"


def _is_there(path: str) -> bool:
    """Is it, as far as may be seen? What lies in a folder that is closed to us may be there."""
    try:
        Path(path).stat()
    except OSError as error:
        return error.errno not in {errno.ENOENT, errno.ENOTDIR}
    return True


def find_writer(key: str, path: str) -> Fault | None:
    """Why others than root could change what this key names; None where nobody could, and of what is not there yet."""
    try:
        writable = find_writable(path, os.lstat, os.readlink) if path else ""
    except OSError:
        return None
    message = f"`{key}`: somebody else than root may write {writable}"
    return Fault((key,), message, f"chown -h root {writable}; chmod go-w {writable}") if writable else None


def _check_window(spec: CheckTable, every: float, window: float) -> Iterator[Fault]:
    if spec.loss is None and spec.rtt is None:
        return
    if window < every * FEWEST:
        hint = f'write window = "{every * FEWEST:g}s", or a shorter `every`'
        yield Fault(("window",), f"`window` has to be at least {FEWEST} times as long as `every`", hint)
    if window > every * KEPT:
        yield Fault(("window",), f"`window` must not be longer than {KEPT} times `every`: so many answers are kept")


def _list_targets(spec: CheckTable, type_: CheckType, faults: list[Fault]) -> tuple[Target, ...]:
    if "target" not in TYPES[type_].keys:
        return (Target(b""),)
    key = "target" if spec.targets is None else "targets"
    written = [spec.target] if spec.target is not None else spec.targets
    if written is None:
        return ()  # a template
    if not written:
        faults.append(Fault((key,), "`targets` is empty"))
    default = TYPES[type_].port
    targets = []
    for address, port in written:
        if default == 0 and port:
            faults.append(Fault((key,), f"`{key}`: a check of type {type_} has no port"))
        if default is None and not port:
            faults.append(Fault((key,), f"`{key}` has no port", 'write it as "192.0.2.1:443" or "[2001:db8::1]:443"'))
        for word in ("src", "via"):
            given = getattr(spec, word)
            if given is not None and family_of(given) != family_of(address):
                faults.append(Fault((key,), f"`{key}` and `{word}` are of different families"))
        targets.append(Target(address, port or default or 0))
    if len(set(targets)) < len(targets):
        faults.append(Fault((key,), f"`{key}` names one twice"))
    return tuple(targets)
