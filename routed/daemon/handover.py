"""What the daemon and the process that reads its files say to each other, and how it is written on a pipe.

The daemon asks with ReadFiles, or with ReadKept and its sources. The other says At before the work on each file, asks
back with StandInWanted, and ends with an Answer; where that has an intent, its sources and entries follow, in pieces:
no step of reading them in keeps a repair waiting. Here must never live: what a file means, or when one is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from struct import Struct
from typing import Any, Final, NamedTuple

from routed.intent.problems import Problem
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import (
    FORMS,
    Enforce,
    Entry,
    How,
    Intent,
    IpvsSettings,
    Matcher,
    OnConflict,
    Origin,
    ProbeWays,
    Requirement,
    Selector,
    Settings,
    Source,
    WhenDown,
)
from routed.model.etcd import Endpoint, EtcdSettings, EtcdSource, Format, OnStop, RegisterSpec, Tls
from routed.model.handover import VERSION, HandoverError, ValueCodec, make_codec
from routed.model.members import DnsSource, ExecSource, FileSource, MemberSource, SourceType
from routed.model.prefixes import PrefixSet

PIECE: Final = 500  # entries
LARGE_PIECE: Final = 5000  # prefixes in them
HEAD: Final = Struct("=HIQ")  # before each message: the version, the length of its JSON, of what stands beside that


class ReadFiles(NamedTuple):
    """Read and check the main file and all that belongs to it."""

    config: str
    digest: str = ""  # of what is in force: files that are the same are not sent
    patience: float = 0.0  # seconds; how long a file that is being written is waited for, if nothing stands in for it
    compiled: str = ""  # where what they mean is kept for the next start


class ReadKept(NamedTuple):
    """Check these bytes instead; so many sources follow."""

    sources: int


class At(NamedTuple):
    """The work on this file begins."""

    file: str


class StandInWanted(NamedTuple):
    """This file is being written: what of it is in force?"""

    file: str


class StandIn(NamedTuple):
    """This is in force of it, or nothing is."""

    content: bytes | None = None


class Answer(NamedTuple):
    """What came of it. Neither an intent nor a problem: the files are what is in force."""

    intent: Intent | None = None  # without its sources and entries
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()
    being_written: tuple[str, ...] = ()
    sources: int = 0  # that follow, each by itself
    entries: int = 0  # that follow, in pieces


HandoverMessage = ReadFiles | ReadKept | At | StandInWanted | StandIn | Answer | Source | tuple[Entry, ...]

_TYPES: Final = (
    ReadFiles, ReadKept, At, StandInWanted, StandIn, Answer, Problem,
    Intent, Settings, Selector, Matcher, How, Source, Origin, PrefixSet, Enforce, OnConflict,
    Requirement, WhenDown, ProbeWays, IpvsSettings, Check, CheckType, Target,
    EtcdSource, EtcdSettings, Endpoint, Tls, Format, OnStop, RegisterSpec,
    MemberSource, SourceType, FileSource, ExecSource, DnsSource,
)  # fmt: skip


def get_codec() -> ValueCodec:
    """The codec of every message, with all kinds of entries."""
    return make_codec((*_TYPES, *FORMS, *(one for form in FORMS.values() for one in form.parts)))


def write_message(message: HandoverMessage) -> list[bytes]:
    """A message as runs of bytes. Raises HandoverError."""
    text, beside = get_codec().dump(message)
    return [HEAD.pack(VERSION, len(text), len(beside)) + text, beside]


def read_head(head: bytes) -> tuple[int, int]:
    """The lengths of the two parts that follow. Raises HandoverError."""
    version, text, beside = HEAD.unpack(head)
    if version != VERSION:
        raise HandoverError(f"it is of version {version}, not {VERSION}")
    return text, beside


def read_messages(content: bytes) -> Iterator[Any]:
    """The messages that these bytes are. Raises HandoverError."""
    at = 0
    while at < len(content):
        if len(content) - at < HEAD.size:
            raise HandoverError("the head of a message is cut")
        text, beside = read_head(content[at : at + HEAD.size])
        middle = at + HEAD.size + text
        at, begin = middle + beside, at + HEAD.size
        if at > len(content):
            raise HandoverError("a message is cut")
        yield get_codec().load(content[begin:middle], content[middle:at])


def take_apart(answer: Answer) -> Iterator[HandoverMessage]:
    """An answer with a whole intent as the messages that are sent for it."""
    intent = answer.intent
    if intent is None:
        yield answer
        return
    bare = replace(intent, sources=(), entries=())
    yield answer._replace(intent=bare, sources=len(intent.sources), entries=len(intent.entries))
    yield from intent.sources
    yield from _cut(intent.entries)


def put_together(answer: Answer, sources: Sequence[Source], entries: Sequence[Entry]) -> Intent | None:
    """The intent of an answer and of what followed it."""
    if answer.intent is None:
        return None
    return replace(answer.intent, sources=tuple(sources), entries=tuple(entries))


def _cut(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    piece: list[Entry] = []
    prefixes = 0
    for entry in entries:
        piece.append(entry)
        prefixes += entry.size
        if len(piece) >= PIECE or prefixes >= LARGE_PIECE:
            yield tuple(piece)
            piece, prefixes = [], 0
    if piece:
        yield tuple(piece)


def expect(kind: type[Any], message: Any) -> Any:
    """The message, which must be of this kind. Raises HandoverError."""
    if type(message) is not kind:
        raise HandoverError(f"a {type(message).__name__} came where a {kind.__name__} had to")
    return message
