"""``[[source]]``: which keys go with which type, and what they come to."""

from __future__ import annotations

import pytest

from routed.intent.member_sources import EVERY, TYPES
from routed.intent.schema_members import SourceTable
from routed.model.members import DnsSource, ExecSource, FileSource, MemberSource, SourceType
from routed.model.net import IPV4, IPV6, parse_address
from tests.unit.intent.intent_help import complaint, read


def written(keys: str) -> str:
    return f'[[source]]\nname = "fleet"\n{keys}\n'


def source_of(keys: str) -> MemberSource:
    (source,) = read(written(keys)).member_sources
    return source


def test_every_type_has_a_row_and_every_key_belongs_to_all_or_to_some() -> None:
    assert TYPES.keys() == set(SourceType)
    keys = [row.keys for row in TYPES.values()]
    assert EVERY.union(*keys) == SourceTable.model_fields.keys()
    assert not EVERY.intersection(*keys)
    assert all(set(row.needed) <= row.keys for row in TYPES.values())


def test_a_path_counts_from_the_folder_of_its_file() -> None:
    assert source_of('type = "file"\npath = "members.json"').options == FileSource("/etc/members.json")


def test_a_program_is_run_once_or_again_and_again() -> None:
    command = 'type = "exec"\ncommand = ["/usr/local/bin/members", "--all"]'
    words = ("/usr/local/bin/members", "--all")
    assert source_of(command).options == ExecSource(words, 10.0)
    assert source_of(f'{command}\nevery = "4s"\nuser = "nagios"').options == ExecSource(words, 4.0, "nagios", 4.0)
    assert source_of(f'{command}\nevery = "1m"\ntimeout = "30s"').options == ExecSource(words, 30.0, "", 60.0)


def test_names_or_a_service_are_asked_for() -> None:
    assert source_of('type = "dns"\nhosts = ["Cache1.example.internal.", "b"]').options == DnsSource(
        ("cache1.example.internal", "b")
    )
    service = 'type = "dns"\nsrv = "_cache._tcp.example.internal"\nservers = ["192.0.2.53", "[2001:db8::53]:5353"]'
    servers = ((parse_address("192.0.2.53"), 0), (parse_address("2001:db8::53"), 5353))
    assert source_of(f'{service}\nevery = "1m"\ntimeout = "5s"').options == DnsSource(
        (), "_cache._tcp.example.internal", servers, 60.0, 5.0
    )


@pytest.mark.parametrize(
    ("within", "families"), [("10.0.0.0/8", (IPV4,)), ("fd00::/8", (IPV6,)), ('fd00::/8", "10.0.0.0/8', (IPV4, IPV6))]
)
def test_only_addresses_that_may_count_are_asked_for(within: str, families: tuple[int, ...]) -> None:
    options = source_of(f'type = "dns"\nhosts = ["a"]\naddresses_within = ["{within}"]').options
    assert options == DnsSource(("a",), families=families)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('path = "x"', "`type` is missing"),
        ('type = "file"', "`path` is missing: a source of type file needs it"),
        ('type = "exec"', "`command` is missing: a source of type exec needs it"),
        ('type = "dns"', "`hosts` is missing, or `srv`: a source of type dns needs one of them"),
        (
            'type = "dns"\nhosts = ["a"]\nsrv = "_a._tcp.b"',
            "`hosts` and `srv` exclude each other / write a [[source]] for each",
        ),
        ('type = "dns"\nhosts = ["a.b", "A.b."]', "`hosts` names one twice"),
        ('type = "dns"\nhosts = ["a"]\nevery = "10ms"', "`every` must not be shorter than 1s"),
        (
            'type = "file"\npath = "x"\ntimeout = "1s"',
            '`timeout`: a source of type file has none / it goes with "exec" or "dns"',
        ),
        ('type = "exec"\ncommand = ["/bin/a"]\nevery = "100ms"', "`every` must not be shorter than 1s"),
        (
            'type = "exec"\ncommand = ["/bin/a"]\nevery = "5s"\ntimeout = "6s"',
            "`timeout` must not be longer than `every`",
        ),
        (
            'type = "exec"\ncommand = ["/tmp/a"]',
            "`command`: whoever runs it does not see this folder (PrivateTmp=, ProtectHome=) / use /usr/local/libexec",
        ),
        (
            'type = "file"\npath = "x"\nuser = "nobody"',
            '`user`: a source of type file has none / it goes with "exec"',
        ),
    ],
)
def test_what_is_missing_is_named(keys: str, words: str) -> None:
    assert complaint(written(keys)) == words
