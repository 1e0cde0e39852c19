"""Schema of members: the keys of ``[[source]]``, and those of a table with ``for_each``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator

from routed.intent import words
from routed.intent.schema_check import CommandWords, HostName, PathOrCredential, UserName
from routed.intent.schema_values import (
    AddressAndPort,
    Duration,
    EntryTable,
    Name,
    Prefix,
    SourceAddress,
    Table,
    show_text,
)
from routed.model.members import FIELDS

_FIELD: Final = rf"[{{]({'|'.join(FIELDS)}|labels\.[A-Za-z0-9._/-]+)[}}]"
TEMPLATE: Final = rf"^[^{{}}]*({_FIELD}[^{{}}]*)+$"  # what members fill
MaxLoss = Annotated[float | None, PlainValidator(words.max_loss), show_text("^(off|(100|[0-9]{1,2})%)$")]
Stale = Annotated[float | None, PlainValidator(words.on_stale), show_text(r"^(keep|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$")]
SourceReference = Annotated[str, PlainValidator(words.reference), show_text("^@[A-Za-z0-9._-]+$")]


class TlsTable(Table):
    """``tls``: each is a path, or the name of a credential of the unit (LoadCredential=)."""

    cert: PathOrCredential | None = Field(None, description="Who we are.")
    key: PathOrCredential | None = Field(None, description="The key of `cert`.")
    ca: PathOrCredential | None = Field(None, description="Whom to believe. Those whom this host believes.")


class RegisterTable(Table):
    """``register``: this host as a member."""

    name: Name | None = Field(None, description="Its name. That of the host.")
    address: SourceAddress | None = Field(None, description='Its address, or "@name": each of that interface.')
    prefixes: list[Prefix] | None = Field(None, description="Its prefixes.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="Its port.")
    weight: Annotated[int, Field(ge=0, le=65535)] | None = Field(None, description="Its weight.")
    labels: dict[str, str] | None = Field(None, description="Its labels.")
    ttl: Duration | None = Field(None, description='How long others count on it when it is silent. "1h".')
    on_stop: Literal["keep", "remove"] = Field(
        "keep", description="When the daemon stops: it is a member until its time is over, or it leaves at once."
    )


class SourceTable(Table):
    """``[[source]]``: where the members of a fleet come from."""

    NEEDS = (("name",), ("type",))

    name: Name | None = Field(None, description='The name; entries write "@name". Required.')
    type: Literal["file", "exec", "etcd", "dns"] | None = Field(
        None,
        description="file: a member document that somebody writes; exec: a program that writes some;"
        " etcd: keys below a prefix; dns: names, or a service. Required.",
    )
    path: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="FILE: the document, JSON or TOML. A relative path counts from the folder of this file."
    )
    command: CommandWords | None = Field(None, description="EXEC: the program and its arguments.")
    user: UserName | None = Field(None, description="EXEC: who runs it. Whoever runs commands here.")
    every: Duration | None = Field(
        None,
        description="EXEC: time between two runs; left out: one run that goes on, with a document a line."
        " DNS: time between two questions, 30 s.",
    )
    timeout: Duration | None = Field(
        None,
        description="EXEC: how long a run may take, or until its first document: 10 s, or `every`."
        " DNS: how long an answer may take: 2 s.",
    )
    hosts: Annotated[list[HostName], Field(min_length=1)] | None = Field(
        None, description="DNS: names, each a member with its addresses."
    )
    srv: HostName | None = Field(None, description="DNS: a service; each target of its SRV records is a member.")
    servers: Annotated[list[AddressAndPort], Field(min_length=1)] | None = Field(
        None, description="DNS: whom to ask, in turn. Those of /etc/resolv.conf."
    )
    endpoints: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None, description='ETCD: whom to ask, in turn: "https://192.0.2.1:2379".'
    )
    prefix: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="ETCD: each key below it is a member. It ends with a slash."
    )
    format: Literal["member", "flannel"] = Field(
        "member", description="ETCD: what the values are: members, or the leases of flannel below …/subnets/."
    )
    tls: TlsTable | None = Field(None, description="ETCD: certificates, with https.")
    username: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="ETCD: who asks, where it has users."
    )
    password_file: PathOrCredential | None = Field(
        None, description="ETCD: the file with his password, or the name of a credential of the unit."
    )
    registration: RegisterTable | None = Field(
        None, alias="register", description="ETCD: what this host says of itself there."
    )
    prefixes_within: list[Prefix] | None = Field(
        None, description="Prefixes of members count only inside of these. Required where an entry uses them."
    )
    addresses_within: list[Prefix] | None = Field(
        None, description="Addresses of members count only inside of these. Required where an entry uses them."
    )
    gone_after: Duration | None = Field(
        None, description='How long a member stays of which the source does not tell any more. "0s".'
    )
    max_loss: MaxLoss = Field(
        0.3, description='Share of the members that may go at once, or "off". More stay until apply --force. "30%".'
    )
    on_empty: Literal["hold", "apply"] = Field(
        "hold", description="What becomes of the members when the source tells of none: they stay, or they go."
    )
    on_stale: Stale = Field(
        None, description='How long members stay while the source says nothing, or "keep", which is the default.'
    )
    cache: bool = Field(default=True, description="Keep the members over a restart.")
    disabled: bool = Field(default=False, description="Take the source of this name away.")


class WhereTable(Table):
    """``where``: which members are meant."""

    self: bool | None = Field(None, description="Does this host hold an address of it? false with `via`.")
    on_link: bool | None = Field(None, description="Is an address of it in a network of this host?")
    ready: bool | None = Field(None, description="Does its source call it ready, and not about to go?")
    labels: dict[str, str] | None = Field(None, description="It has each of these labels.")


class EachTable(Table):
    """Who stands for one thing each."""

    for_each: SourceReference = Field(description='A [[source]], "@name": there is a server for each of its members.')
    where: WhereTable | None = Field(None, description="Which of the members.")


class MemberTable(EntryTable):
    """The keys of a table that may stand for an entry for each member."""

    for_each: SourceReference | None = Field(
        None, description='A [[source]], "@name": there is an entry for each of its members.'
    )
    where: WhereTable | None = Field(None, description="With for_each: which of the members.")
