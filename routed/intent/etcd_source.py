"""``[[source]]`` of type etcd as the model has it. Imported with the first one.

Here must never live: how etcd is spoken to (``members.etcd``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routed.intent.convert import FaultsError, split_reference
from routed.intent.problems import Fault
from routed.intent.schema_members import RegisterTable, SourceTable
from routed.model import net
from routed.model.entries import Origin
from routed.model.etcd import (
    LEAST_TTL,
    MOST_TTL,
    Endpoint,
    EtcdSettings,
    EtcdSource,
    Format,
    OnStop,
    RegisterSpec,
    Tls,
    parse_endpoint,
)
from routed.model.members import LABEL


def make_etcd(spec: SourceTable, origin: Origin) -> EtcdSource:
    """What one comes to. Raises FaultsError."""
    del origin
    faults: list[Fault] = []
    endpoints = tuple(_read_endpoints(spec, faults))
    faults += [*_check_keys(spec, endpoints), *_check_ways(endpoints, spec.prefixes_within or ())]
    if spec.registration:
        faults += _check_register(spec, spec.registration)
    if faults:
        raise FaultsError(*faults)
    tls = Tls(spec.tls.ca or "", spec.tls.cert or "", spec.tls.key or "") if spec.tls else Tls()
    settings = EtcdSettings(
        endpoints, spec.prefix or "", Format(spec.format), tls, spec.username or "", spec.password_file or ""
    )
    return EtcdSource(settings, _make_register(spec.registration) if spec.registration else None)


def _read_endpoints(spec: SourceTable, faults: list[Fault]) -> Iterator[Endpoint]:
    for index, text in enumerate(spec.endpoints or ()):
        try:
            yield parse_endpoint(text)
        except ValueError as error:
            faults.append(Fault(("endpoints", index), f"`endpoints`: {error}"))


def _check_keys(spec: SourceTable, endpoints: Iterable[Endpoint]) -> Iterator[Fault]:
    if spec.prefix and not (spec.prefix.startswith("/") and spec.prefix.endswith("/") and spec.prefix.isprintable()):
        yield Fault(("prefix",), "`prefix` must begin and end with a slash", "such as /routed/fleet/")
    if spec.tls and not all(one.is_encrypted for one in endpoints):
        yield Fault(("tls",), "`tls` is of no use with an endpoint without encryption", "write https:// in `endpoints`")
    if spec.tls and bool(spec.tls.cert) is not bool(spec.tls.key):
        yield Fault(("tls",), "`cert` and `key` go together")
    if bool(spec.username) is not bool(spec.password_file):
        yield Fault(("username",), "`username` and `password_file` go together")
    if spec.registration and spec.format != "member":
        yield Fault(("register",), "`register` puts members, and this `format` is another", "leave one of them out")


def _check_ways(endpoints: Iterable[Endpoint], within: Iterable[bytes]) -> Iterator[Fault]:
    """The way to etcd must not hang on what etcd says."""
    for index, endpoint in enumerate(endpoints):
        try:
            address = net.parse_address(endpoint.host)
        except ValueError:
            continue  # a name: nobody knows yet where that is
        if wide := next((one for one in within if net.is_inside(address, one)), b""):
            message = f"{endpoint} is inside `prefixes_within` ({net.format_prefix(wide)})"
            hint = "a member could take the way to it; ask it at another address"
            yield Fault(("endpoints", index), f"`endpoints`: {message}", hint)


def _check_register(spec: SourceTable, register: RegisterTable) -> Iterator[Fault]:
    within = spec.prefixes_within or ()
    for index, prefix in enumerate(register.prefixes or ()):
        if not any(net.contains(wide, prefix) for wide in within):
            message = f"{net.format_prefix(prefix)} is not inside `prefixes_within`, so no host would take it"
            yield Fault(("register", "prefixes", index), f"`prefixes`: {message}")
    if isinstance(register.address, bytes) and not any(
        net.is_inside(register.address, wide) for wide in spec.addresses_within or ()
    ):
        message = f"{net.format_address(register.address)} is not inside `addresses_within`, so no host would take it"
        yield Fault(("register", "address"), f"`address`: {message}")
    if register.address is None and not register.prefixes:
        yield Fault(("register",), "`register` has neither `address` nor `prefixes`")
    for name in register.labels or ():
        if not LABEL.fullmatch(name):
            yield Fault(("register", "labels", name), f"`labels`: {name!r} is no name of a label")
    if register.ttl is not None and not LEAST_TTL <= register.ttl <= MOST_TTL:
        yield Fault(("register", "ttl"), f"`ttl` must be from {LEAST_TTL}s to {MOST_TTL}s")


def _make_register(table: RegisterTable) -> RegisterSpec:
    address, address_of = split_reference(table.address)
    return RegisterSpec(
        name=table.name or "",
        addresses=(address,) if address else (),
        address_of=address_of,
        prefixes=tuple(table.prefixes or ()),
        port=table.port or 0,
        weight=table.weight,
        labels=tuple(sorted((table.labels or {}).items())),
        ttl=int(table.ttl or RegisterSpec().ttl),
        on_stop=OnStop(table.on_stop),
    )
