"""The schema of ``[[check]]``: its keys, whatever is asked. Which of them a type has is a rule of ``check_table``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from routed.intent import words
from routed.intent.schema_values import (
    Address,
    AddressAndPort,
    Duration,
    Interface,
    Name,
    Percentage,
    Table,
    show_one_or_more,
    show_text,
)

StatusRanges = Annotated[
    tuple[tuple[int, int], ...],
    PlainValidator(words.one_or_more(words.status_range)),
    show_one_or_more(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
                {"type": "integer", "minimum": 100, "maximum": 599},
            ]
        }
    ),
]
HostName = Annotated[str, PlainValidator(words.host_name), show_text("^[A-Za-z0-9._-]+$", maxLength=253)]
CommandWords = Annotated[
    tuple[str, ...],
    PlainValidator(words.command),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
UserName = Annotated[str, PlainValidator(words.user), show_text(r"^[A-Za-z_][A-Za-z0-9_.-]*\$?$", maxLength=32)]
AbsolutePath = Annotated[str, PlainValidator(words.absolute_path), show_text("^/")]
PathOrCredential = Annotated[
    str, PlainValidator(words.path_or_credential), show_text("^(/|[A-Za-z0-9_-][A-Za-z0-9._-]*$)")
]
HttpPath = Annotated[str, PlainValidator(words.http_path), show_text("^/[!-~]*$")]


class CheckTable(Table):
    """``[[check]]``: a question that is asked again and again; entries require that it is answered well."""

    NEEDS: ClassVar[tuple[tuple[str, ...], ...]] = (("name",), ("type",))

    name: Name | None = Field(None, description='The name; entries write requires = "@name". Required.')
    type: Literal["icmp", "arp", "tcp", "tls", "http", "https", "dns", "udp", "file", "exec"] | None = Field(
        None, description="What is asked. Required."
    )
    target: AddressAndPort | None = Field(None, description='Who is asked: "192.0.2.1", "192.0.2.1:443".')
    targets: list[AddressAndPort] | None = Field(None, description="Several who are asked.")
    need: Annotated[int, Field(ge=1)] | Literal["any", "all"] = Field(
        "any", description="How many of the targets have to be up."
    )
    every: Duration | None = Field(None, description='Time between two questions, with its unit. "5s".')
    timeout: Duration | None = Field(None, description="How long an answer may take. 2 s, or half of `every`.")
    fall: Annotated[int, Field(ge=1, le=100)] = Field(3, description="Bad answers in a row until it is down.")
    rise: Annotated[int, Field(ge=1, le=100)] = Field(2, description="Good answers in a row until it is up again.")
    fast: Duration | None = Field(None, description="Time between two questions while in doubt. A fifth of `every`.")
    hold: Duration | None = Field(None, description="Least time that it stays down; doubled while it flaps. None.")
    loss: Percentage | None = Field(None, description='ICMP: down above this share without an answer. "20%".')
    rtt: Duration | None = Field(None, description='ICMP: down above this median time of an answer. "200ms".')
    window: Duration | None = Field(None, description="ICMP: over so long both are measured. 60 s.")
    dev: Interface | None = Field(None, description="The interface by which the question leaves.")
    src: Address | None = Field(None, description="The source address of the question.")
    via: Address | None = Field(
        None, description="The gateway of the question: a way of its own, whatever the routes of the host are."
    )
    host: HostName | None = Field(None, description="TLS and HTTP: the name that is meant, for Host and SNI.")
    path: HttpPath | None = Field(None, description="HTTP: the path. /")
    method: Literal["GET", "HEAD", "OPTIONS"] | None = Field(None, description="HTTP: the method. GET.")
    status: StatusRanges | None = Field(None, description='HTTP: the good ones. "200-399".')
    body: Annotated[str, Field(min_length=1)] | None = Field(None, description="HTTP: a text that has to be in it.")
    headers_file: PathOrCredential | None = Field(
        None, description="HTTP: a file with headers, a line each; a path, or the name of a credential of the unit."
    )
    verify: bool | None = Field(None, description="TLS: check the certificate. Yes where `host` or `ca` is given.")
    ca: AbsolutePath | None = Field(None, description="TLS: a file with the certificates of the issuers to trust.")
    send: Annotated[str, Field(min_length=1)] | None = Field(None, description="TCP, TLS, UDP: a text to send.")
    expect: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="TCP, TLS, UDP: a text that has to be in the answer."
    )
    query: HostName | None = Field(None, description="DNS: the name to ask for.")
    record: Literal["A", "AAAA", "NS", "SOA", "SRV", "TXT"] | None = Field(None, description="DNS: the record. A.")
    file: AbsolutePath | None = Field(None, description="FILE: up while it exists and its first word is not `down`.")
    command: CommandWords | None = Field(
        None, description="EXEC: a program and its arguments; up while it ends with 0."
    )
    user: UserName | None = Field(None, description="EXEC: who runs it. Whoever runs commands here.")
    disabled: bool = Field(default=False, description="Take the check of this name away.")
