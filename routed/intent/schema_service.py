"""The schema of ``[[service]]``, its servers and their tunnel. Rules between its keys stand in ``service_table``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator

from routed.intent import words
from routed.intent.schema_check import CheckTable
from routed.intent.schema_members import TEMPLATE, SourceReference, WhereTable
from routed.intent.schema_values import (
    AddressAndPort,
    Duration,
    EntryTable,
    Family,
    Percentage,
    Requires,
    Table,
    show_one_or_more,
    show_text,
    show_text_or_number,
)

Listens = Annotated[
    tuple[tuple[int, bytes, int, str], ...],
    PlainValidator(words.one_or_more(words.listen)),
    show_one_or_more(
        {
            "type": "string",
            "pattern": r"^(@[A-Za-z0-9._-]+:[0-9]+|[0-9.]+(:[0-9]+)?|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)"
            r"(/(tcp|udp|sctp))?$",
        }
    ),
]
MinHealthy = Annotated[
    int | float,
    PlainValidator(words.min_healthy),
    show_text_or_number(words.UINT32, minimum=1, pattern="^(100|[0-9]{1,2})%$"),
]
Scheduler: TypeAlias = Literal[
    "rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos"
]
Forward: TypeAlias = Literal["masq", "direct", "tunnel"]
HEAVIEST: Final = 0x7FFFFFFF  # IP_VS_DEST: more is refused
Weight = Annotated[int, Field(ge=0, le=HEAVIEST)]
Connections = Annotated[int, Field(ge=1, le=0x7FFFFFFF)]


MemberText = Annotated[str, show_text(TEMPLATE)]  # what members fill


# A template by its name, or a check of its own: then a table without `name`, since the service has one.
class NamelessCheck(CheckTable):
    """``check`` of a service or server: a check of its own."""

    NEEDS = (("type",),)


ServerCheck = Annotated[CheckTable, BeforeValidator(words.check_of_servers, json_schema_input_type=NamelessCheck | str)]


class Server(Table):
    """One server of a service."""

    NEEDS: ClassVar[tuple[tuple[str, ...], ...]] = (("address",),)

    address: AddressAndPort | None = Field(None, description="The server's address, with its port: 10.0.0.11:443.")
    weight: Weight = Field(1, description="Its share of new connections; 0: none. 1.")
    max_connections: Connections | None = Field(None, description="From so many connections on it gets no more.")
    min_connections: Connections | None = Field(
        None, description="… until it has fewer than these. Three quarters of `max_connections`."
    )
    forward: Forward | None = Field(None, description="How packets come to it. As the service says.")
    requires: Requires | None = Field(None, description="A [[check]] without which it gets no new connections.")
    check: ServerCheck | None = Field(None, description="How it is asked. As the service says.")
    disabled: bool = Field(default=False, description="Leave this server out.")


class MemberServer(Server):
    """``servers`` as one table: a server for each member of a source."""

    NEEDS = (("for_each",), ("address",))

    for_each: SourceReference | None = Field(
        None, description='A [[source]], "@name": there is a server for each of its members.'
    )
    where: WhereTable | None = Field(None, description="Which of the members.")
    address: MemberText | None = Field(  # type: ignore[assignment]
        None, description='What the members fill: "{address}:6443", "{address}:{port}".'
    )
    weight: Weight | MemberText = Field(  # type: ignore[assignment]
        1, description='Its share of new connections: a number, or "{weight}".'
    )


# A server by its address alone, or as a table.
ServerOrAddress = Annotated[Server, BeforeValidator(words.server, json_schema_input_type=AddressAndPort | Server)]


# One table with ``for_each`` is read as a server that nobody has (``intent.for_each``).
ListedOrMembers = Annotated[
    list[ServerOrAddress],
    BeforeValidator(lambda value: value, json_schema_input_type=list[ServerOrAddress] | MemberServer),
]


class Tunnel(Table):
    """``tunnel``: the form of packets to servers with ``forward = "tunnel"``."""

    type: Literal["ipip", "gue", "gre"] = Field("ipip", description="ipip, gue or gre.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="gue: the UDP port of the servers.")
    checksum: bool = Field(default=False, description="gue and gre: with a checksum.")
    remote_checksum: bool = Field(default=False, description="gue: with remote checksum offload.")


class Agent(Table):
    """``agent``: who is asked at each server what share of its weight it takes."""

    NEEDS = (("port",),)

    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="Its TCP port. Required.")
    every: Duration = Field(5.0, description='Time between two questions, with its unit. "5s".')
    timeout: Duration | None = Field(None, description="How long an answer may take. 2 s, or half of `every`.")
    step: Percentage = Field(0.1, description='A share that differs by less waits, from "1%". "10%".')


class ServiceTable(EntryTable):
    """``[[service]]``: a virtual service of IPVS and its servers."""

    NEEDS = (("listen", "fwmark"), ("servers",))

    listen: Listens | None = Field(
        None, description='address:port[/udp|/sctp]; "@local:PORT" for each address of this host, "@name:PORT".'
    )
    fwmark: Annotated[int, Field(ge=1, le=words.UINT32)] | None = Field(
        None, description="In place of listen: the firewall mark of its packets."
    )
    family: Family | None = Field(None, description="Of a fwmark. ipv4.")
    scheduler: Scheduler = Field("wrr", description="How a new connection finds its server. wrr.")
    flags: list[Literal["fallback", "port", "one-packet"]] = Field(
        [], description="sh and mh: fallback, port; of UDP: one-packet."
    )
    persistence: Duration | None = Field(
        None, description='How long a client stays with its server: "3h". At most 31d.'
    )
    persistence_prefix: Annotated[int, Field(ge=1, le=128)] | None = Field(
        None, description="Clients whose addresses begin alike, by so many bits, are one."
    )
    persistence_engine: Literal["sip"] | None = Field(None, description="What else tells clients apart: sip.")
    forward: Forward = Field("masq", description="How packets come to the servers: masq, direct or tunnel.")
    tunnel: Tunnel | None = Field(None, description="The form of packets in a tunnel.")
    servers: ListedOrMembers | None = Field(
        None,
        description='The servers: "10.0.0.11:443", or tables; or one table with for_each. Without a port it is that of'
        " the service.",
    )
    servers_file: Annotated[str, Field(min_length=1)] | None = Field(
        None, description='A file with one server a line, "10.0.0.11:443 weight 3"; # and ; begin comments.'
    )
    check: ServerCheck | None = Field(
        None, description='How each server is asked: "@name" of a [[check]] without target, or such a table.'
    )
    on_fail: Literal["drain", "remove"] = Field(
        "drain", description="A server whose check is down: no new connections and gone later, or gone at once."
    )
    remove_after: Duration = Field(30.0, description='After so long a server that is down goes: "30s".')
    when_all_down: Literal["keep", "refuse", "remove"] = Field(
        "keep", description="Without a server that is up: keep all as written, refuse clients, or remove the service."
    )
    min_healthy: MinHealthy = Field(
        1, description='With fewer servers up than this they count as all down: a number, or "50%".'
    )
    sorry: AddressAndPort | None = Field(None, description="The server that stands in when all are down.")
    others: Literal["remove", "keep"] = Field("remove", description="Servers that somebody else puts into it.")
    slow_start: Duration = Field(0.0, description='A server that comes gets its weight in steps for so long: "30s".')
    agent: Agent | None = Field(
        None, description="Each server says at this port what share of its weight it takes, in HAProxy's words."
    )
    drain: Duration = Field(30.0, description='A server that leaves the files keeps what is connected so long: "30s".')
