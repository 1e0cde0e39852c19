"""Tables with ``for_each``, and servers with it.

Each is read once with the values of a sample in place of what the members fill, so that every other key is checked as
ever. Here must never live: what a member fills (``core.for_each``), or who is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from routed.intent.complaints import validate
from routed.intent.convert import FAMILIES_OF, Draft, FaultsError
from routed.intent.problems import Fault, KeyPath
from routed.intent.schema_members import EachTable, MemberTable
from routed.intent.words import one_of
from routed.model.entries import EachEntry, EachServer, Entry, Fill, RouteEntry, Where
from routed.model.ipvs import TUNNEL
from routed.model.members import FIELD, FIELDS, FILLED, FILLED_OF_SERVERS, LABEL_FIELD, MemberSource
from routed.model.net import FAMILIES, family_of, format_endpoint, parse_address

if TYPE_CHECKING:  # it imports this where a file has members
    from routed.intent.load import WrittenTable

# A member that nobody has (RFC 5737, RFC 3849).
SAMPLES: Final[Mapping[bool, Mapping[str, Any]]] = {
    False: {"address": "192.0.2.1", "host": "192.0.2.1/32", "prefix": "198.51.100.0/24", "number": 1},
    True: {"address": "2001:db8::1", "host": "2001:db8::1/128", "prefix": "2001:db8:1::/48", "number": 1},
}
SERVERS: Final = {False: parse_address("198.51.100.254"), True: parse_address("2001:db8::fffe")}
ADDRESSES: Final = frozenset({"address", "addresses"})
PREFIXES: Final = frozenset({"prefix", "prefixes"})
BOUNDED: Final = frozenset({"address", "host", "prefix", "endpoint"})  # the values that are inside of something
PORT: Final = "port"
SAMPLE_PORT: Final = 61616  # not that of the service, which a member need not tell


def take_out(kind: str, content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Fill, ...], EachTable | None]:
    """The table with a sample in place of what members fill, and what that is. Raises FaultsError.

    Where it says elsewhere than among its own keys who the members are, that is returned besides.
    """
    if "for_each" in content or not isinstance(content.get("servers"), dict):
        return *_take_out_table(kind, content), None
    inner = dict(content["servers"])
    head = {key: inner.pop(key) for key in ("for_each", "where") if key in inner}
    if "for_each" not in head:
        raise FaultsError(Fault(("servers",), "`servers` must be an array: [ … ]", "or a table with `for_each`"))
    each = validate(EachTable, head)
    if isinstance(each, tuple):
        raise FaultsError(*(_place_in_servers(fault) for fault in each))
    try:
        server, fills = _take_out_server(inner, is_ipv6=_is_served_by_ipv6(content))
    except FaultsError as error:
        raise FaultsError(*map(_place_in_servers, error.faults)) from None
    return {**content, "servers": [server]}, fills, each


def _place_in_servers(fault: Fault) -> Fault:
    return fault._replace(path=("servers", *fault.path))


def _take_out_table(kind: str, content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Fill, ...]]:
    fillable = FILLED.get(kind, {})
    written = {key: value for key, value in content.items() if isinstance(value, str) and "{" in value}
    faults = list(_find_misfilled(fillable, written))
    if not fillable:
        hint = "it stands in `servers`: servers = { for_each = … }" if kind == "service" else ""
        faults.append(Fault(("for_each",), f"`for_each` is not known in [[{kind}]]", hint))
    elif not written:
        faults.append(Fault(("for_each",), "no key has a field of the members", 'such as via = "{address}"'))
    if faults:
        raise FaultsError(*faults)
    samples = SAMPLES[_is_ipv6(kind, content)]
    filled = {key: samples[fillable[key]] for key in written}
    return {**content, **filled}, tuple(Fill(key, text) for key, text in written.items())


def _take_out_server(content: Mapping[str, Any], *, is_ipv6: bool) -> tuple[dict[str, Any], tuple[Fill, ...]]:
    """A server, whose address and port are filled apart: that of a member may be of either family."""
    written = {key: value for key, value in content.items() if isinstance(value, str) and "{" in value}
    faults = list(_find_misfilled(FILLED_OF_SERVERS, written))
    if "address" not in written:
        hint = 'such as address = "{address}:6443"'
        faults.append(Fault(("address",), "`address` has no field of the members", hint))
    if faults:
        raise FaultsError(*faults)
    host, port = split_endpoint(written.pop("address"))
    fills = [Fill("address", host), *([Fill(PORT, port)] if "{" in port else [])]
    fills += [Fill(key, text) for key, text in written.items()]
    sample = format_endpoint(SERVERS[is_ipv6], 0)
    if port:
        told = SAMPLE_PORT if "{" in port else port
        sample = f"[{sample}]:{told}" if is_ipv6 else f"{sample}:{told}"
    numbers = {key: SAMPLES[is_ipv6][FILLED_OF_SERVERS[key]] for key in written}
    return {**content, **numbers, "address": sample}, tuple(fills)


def split_endpoint(text: str) -> tuple[str, str]:
    """``{address}:6443`` and ``[{address}]:6443`` as two, of which the second may be empty."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
        return host.removesuffix("]"), port
    if text.count(":") != 1:  # an IPv6 address of which only a part is filled
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _is_served_by_ipv6(content: Mapping[str, Any]) -> bool:
    """Does the first place where a service is say so?"""
    listen = content.get("listen")
    first = listen[0] if isinstance(listen, list) and listen else listen
    return content.get("family") == "ipv6" or (isinstance(first, str) and first.count(":") > 1)


def _find_misfilled(fillable: Mapping[str, str], written: Mapping[str, str]) -> Iterator[Fault]:
    for key, text in written.items():
        if key not in fillable:
            hint = f"a member may fill {one_of(f'`{one}`' for one in fillable)}"
            yield Fault((key,), f"`{key}` is nothing that a member may fill", hint)
        yield from _find_unknown_fields(key, text)


def _find_unknown_fields(key: str, text: str) -> Iterator[Fault]:
    for name in FIELD.findall(text):
        if name not in FIELDS and not (name.startswith(LABEL_FIELD) and name != LABEL_FIELD):
            hint = f"there is {one_of([*FIELDS, 'labels.NAME'])}"
            yield Fault((key,), f"`{key}`: members have no field {{{name}}}", hint)
    if "{" in FIELD.sub("", text) or "}" in FIELD.sub("", text):
        yield Fault((key,), f"`{key}`: a brace is not closed, or not opened")


def _is_ipv6(kind: str, content: Mapping[str, Any]) -> bool:
    """Does the rest of the table speak of IPv6?"""
    words = [content.get(key) for key in (*FILLED[kind], "node", "peer")]
    return content.get("family") == "ipv6" or any(
        isinstance(one, str) and "{" not in one and ":" in one for one in words
    )


def make_each(draft: Draft, table: WrittenTable, sources: Mapping[str, MemberSource] | None) -> Draft:
    """The entry of a table with ``for_each``. ``sources`` None: not all could be read. Raises FaultsError."""
    place: KeyPath = ("servers",) if table.each is not None else ()
    each: EachTable | MemberTable = table.spec if table.each is None else table.each
    name = (each.for_each or "").removeprefix("@")
    faults: list[Fault] = []
    if table.each is None and not table.spec.name:
        faults.append(Fault((), "`name` is missing", "its members are called after it: route/pods[node2]"))
    if sources is not None and name not in sources:
        hint = f"there is {one_of(sorted(sources))}" if sources else "the files have no [[source]]"
        faults.append(Fault((*place, "for_each"), f'`for_each`: no [[source]] is named "{name}"', hint))
    elif sources is not None:
        unbounded = _find_unbounded(table.kind, table.fills, sources[name])
        faults += (fault._replace(path=(*place, *fault.path)) for fault in unbounded)
    source = sources.get(name) if sources is not None else None
    bounds = _Bounds(source.prefixes_within, source.addresses_within) if source else _Bounds()
    entry = MAKERS[table.each is not None](draft.entry, table, name, bounds)
    if entry is None:
        hint = "leave `servers` out where none is meant"
        faults.append(Fault(("servers", "disabled"), "`disabled`: there would be no server at all", hint))
    if faults or entry is None:
        raise FaultsError(*faults)
    return Draft(entry, draft.labels)


class _Bounds(NamedTuple):
    """What a source may tell."""

    prefixes_within: tuple[bytes, ...] = ()
    addresses_within: tuple[bytes, ...] = ()


def _make_entry(body: Entry, table: WrittenTable, source: str, bounds: _Bounds) -> Entry:
    head = {key: getattr(body, key) for key in ("name", "origin", "enforce", "on_conflict", "place")}
    where, families = _make_where(table.spec, table.fills), _find_families(table.spec, body, table.fills)
    return EachEntry(
        **head, source=source, body=body, fills=table.fills, where=where, families=families, **bounds._asdict()
    )


def _make_service(service: Any, table: WrittenTable, source: str, bounds: _Bounds) -> Entry | None:
    """Of a service the one server is the sample; None where that is left out."""
    if not service.servers:
        return None
    [body] = service.servers
    known = {one.family or (family_of(one.address) if one.address else 0) for one in service.listens} - {0}
    suited = FAMILIES if body.value.forward == TUNNEL else tuple(sorted(known)) or FAMILIES
    target = body.check[1] if body.check else None
    share = table.spec.min_healthy if isinstance(table.spec.min_healthy, float) else None
    ports = tuple(one.port for one in service.listens)
    where = _make_where(table.each, ())
    has_port = bool(target and target.port)
    each = EachServer(source, body, table.fills, where, *bounds, suited, share, ports, has_port)
    made: Entry = replace(service, servers=(), each=each)
    return made


# Do members make the servers of the table, or entries like it?
MAKERS: Final[Mapping[bool, Callable[[Any, WrittenTable, str, _Bounds], Entry | None]]] = {
    True: _make_service,
    False: _make_entry,
}


def _list_bounds(kind: str, fill: Fill) -> list[str]:
    """Inside of which of its source's keys what comes of it has to be: remote words must never move a default route."""
    fields = set(FIELD.findall(fill.template))
    type_ = FILLED.get(kind, FILLED_OF_SERVERS).get(fill.key, "number")
    if type_ not in BOUNDED:
        return []
    if fields.isdisjoint(ADDRESSES | PREFIXES):  # a label, say
        return ["prefixes_within" if type_ == "prefix" else "addresses_within"]
    named = {"addresses_within": ADDRESSES, "prefixes_within": PREFIXES}
    return [key for key, some in named.items() if fields & some]


def _find_unbounded(kind: str, fills: Iterable[Fill], source: MemberSource) -> Iterator[Fault]:
    for fill in fills:
        field = min(FIELD.findall(fill.template))
        for key in _list_bounds(kind, fill):
            if not getattr(source, key):
                message = f"`{fill.key}` has {{{field}}}, and source/{source.name} at {source.origin} has no `{key}`"
                yield Fault((fill.key,), message, f"write there which the members may have: {key} = [...]")


def _find_families(spec: MemberTable, body: Entry, fills: Iterable[Fill]) -> tuple[int, ...]:
    """The families that what is written in the table suits."""
    filled = {fill.key for fill in fills}
    suited = set(FAMILIES_OF[getattr(spec, "family", None) or "both"])
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if (field.alias or name) not in filled and isinstance(value, bytes) and value:
            suited &= {family_of(value)}
    if "to" not in filled and isinstance(body, RouteEntry):
        suited &= body.prefixes.keys()
    return tuple(family for family in FAMILIES if family in suited)


def _make_where(spec: EachTable | MemberTable, fills: Iterable[Fill]) -> Where:
    given = spec.where
    is_self = given.self if given else None
    if is_self is None and any(fill.key == "via" for fill in fills):
        is_self = False
    if given is None:
        return Where(is_self)
    return Where(is_self, given.on_link, given.ready, tuple(sorted((given.labels or {}).items())))
