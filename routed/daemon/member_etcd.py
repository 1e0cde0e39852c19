"""Members of etcd, and this host among them: what it says of itself follows its name and its addresses.

Here must never live: how etcd is spoken to (``members.etcd``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from routed.core.references import find_link, is_own_address
from routed.daemon.storage import NEW, replace_file
from routed.members.etcd import follow as follow_etcd
from routed.model.etcd import EtcdSettings, EtcdSource, Registered, RegisterSpec, Registration, Unheard, Unregistered
from routed.model.facts import Facts
from routed.model.members import Member, Snapshot
from routed.model.reasons import Reason, Snag, Snagged

IDENTITY: Final = "identity"  # the file that tells this host from another of the same name, in the folder of members
LENGTH: Final = 32  # characters of what is in it


async def follow(
    folder: Path,
    find_facts: Callable[[], Facts],
    facts_changed: asyncio.Event,
    tell: Callable[[Registered | Unregistered], None],
    options: EtcdSource,
    deliver: Callable[[Snapshot | Reason], None],
    *,
    may_register: bool = True,
) -> None:
    """Until this is cancelled. What this host says of itself is said anew where its addresses are others."""

    def hear(said: Snapshot | Unheard) -> None:
        deliver(said.why if isinstance(said, Unheard) else said)

    def find_settings() -> EtcdSettings:
        """Who cannot say who he is follows the others all the same, and says it when he can."""
        try:
            return complete(options, folder, find_facts())
        except OSError as error:
            tell(Unregistered(Snagged(str(folder / IDENTITY), Snag.NO_FILE, error.strerror or str(error))))
            return options.settings

    if not may_register:
        options = options._replace(register=None)
    is_anew = asyncio.Event()  # what this host says of itself is only said anew: it does not leave

    while True:
        facts_changed.clear()
        is_anew.clear()
        settings = find_settings()
        task = asyncio.create_task(follow_etcd(settings, hear, tell, lambda: not is_anew.is_set()))
        try:
            while find_settings() == settings and not task.done():
                waiting = asyncio.create_task(facts_changed.wait())
                try:
                    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                facts_changed.clear()
            is_anew.set()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def complete(options: EtcdSource, folder: Path, facts: Facts) -> EtcdSettings:
    """With what this host says of itself; nothing while it has no address to tell."""
    spec = options.register
    if spec is None:
        return options.settings
    addresses = (*spec.addresses, *(_list_addresses(spec, facts) if spec.address_of else ()))
    if not addresses and not spec.prefixes:
        return options.settings
    member = Member(
        name=spec.name or os.uname().nodename.partition(".")[0],
        uid=read_identity(folder),
        addresses=addresses,
        prefixes=spec.prefixes,
        port=spec.port,
        weight=spec.weight,
        labels=spec.labels,
    )
    return options.settings._replace(register=Registration(member, spec.ttl, spec.on_stop))


def _list_addresses(spec: RegisterSpec, facts: Facts) -> list[bytes]:
    link = find_link(f"@{spec.address_of}", facts).link
    held = facts.addresses.values()
    return [one.address for one in held if link and one.dev == link.ifindex and is_own_address(one, facts)]


def read_identity(folder: Path) -> str:
    """What tells this host from another of the same name. Made once; raises OSError where it cannot be kept."""
    path = folder / IDENTITY
    with suppress(FileNotFoundError):
        if len(text := path.read_text(encoding="ascii").strip()) == LENGTH:
            return text
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = os.urandom(LENGTH // 2).hex()
    replace_file(path, text.encode() + b"\n", new=path.with_name(path.name + NEW))
    return text
