"""``agent`` of a ``[[service]]``: who is asked, and what is wrong with it."""

from __future__ import annotations

import pytest

from routed.model.checks import Target
from routed.model.entries import ServiceEntry
from routed.model.net import parse_address
from tests.unit.intent.intent_help import complaint, read
from tests.unit.intent.test_service import ROUTE, SERVERS

AGENT = f'name = "api"\nlisten = "10.0.0.1:443"\n{SERVERS}\n'


def test_each_server_is_asked_for_its_share_once_however_many_ports_it_has() -> None:
    servers = 'servers = ["10.0.0.11:1", "10.0.0.11:2", "[fd00::1]:3", { address = "10.0.0.12:1", weight = 0 }]'
    text = f'[[service]]\nname = "api"\nlisten = "@local:443"\n{servers}\nagent = {{ port = 9707, every = "1s" }}\n'
    intent = read(text)
    (found,) = (one for one in intent.entries if isinstance(one, ServiceEntry))
    four, six = "agent:api[10.0.0.11:9707]", "agent:api[[fd00::1]:9707]"
    assert [one.agent for one in found.servers] == [four, four, six, ""]
    assert [(one.name, one.targets) for one in intent.checks] == [
        (four, (Target(parse_address("10.0.0.11"), 9707),)),
        (six, (Target(parse_address("fd00::1"), 9707),)),
    ]
    (first, _) = intent.checks
    assert (first.type, first.every, first.timeout, first.fall, first.rise, first.step) == ("agent", 1.0, 0.5, 3, 1, 10)
    assert found.asked == {four, six}


def test_servers_behind_a_mark_have_agents_too() -> None:
    intent = read('[[service]]\nfwmark = 7\nservers = ["10.0.0.11"]\nagent = { port = 9707 }\n')
    assert [one.targets[0].port for one in intent.checks] == [9707]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("{}", "`agent` needs `port`"),
        ("{ port = 0 }", "port"),
        ("{ port = 65536 }", "port"),
        ('{ port = 1, step = "0%" }', "`step` must be from"),
        ('{ port = 1, step = "101%" }', "step"),
        ("{ port = 1, step = 10 }", "step"),
        ('{ port = 1, every = "1s", timeout = "2s" }', "`timeout` must not be longer"),
        ("{ port = 1, name = 1 }", "name"),
    ],
)
def test_what_is_wrong_with_an_agent_is_said(agent: str, said: str) -> None:
    assert said in complaint(f"[[service]]\n{AGENT}agent = {agent}\n")


def test_no_check_is_written_as_an_agent() -> None:
    assert "type" in complaint('[[check]]\nname = "a"\ntype = "agent"\ntarget = "10.0.0.1:1"\n')


def test_who_requires_a_service_requires_that_the_agents_of_its_servers_let_them_take_connections() -> None:
    text = f'[[service]]\n{AGENT}check = {{ type = "tcp" }}\nagent = {{ port = 9707 }}\n{ROUTE}'
    intent = read(text)
    (needed,) = next(one for one in intent.entries if one.name.startswith("route/")).requires
    assert [[one.check for one in each] for each in needed.servers] == [
        ["api[10.0.0.11:443]", "agent:api[10.0.0.11:9707]"]
    ]
