"""Checks whose questions go with what waits for them are an error, be it one or a circle of many."""

from __future__ import annotations

import pytest

from tests.unit.intent.intent_help import problems

LEADS = "once, none of this would ever be up again"


def a_check(name: str, target: str, keys: str = "", type_: str = "icmp") -> str:
    return f'[[check]]\nname = "{name}"\ntype = "{type_}"\ntarget = "{target}"\n{keys}\n'


def a_route(to: str, requires: str = "", keys: str = "", via: str = "192.0.2.1", dev: str = "eth1") -> str:
    needed = f'requires = "{requires}"\nwhen_all_down = "withdraw"\n' if requires else ""
    name = to.replace("/", "-").replace(":", "_")
    return f'[[route]]\nname = "{name}"\nto = "{to}"\nvia = "{via}"\ndev = "{dev}"\n{needed}{keys}\n'


def told(toml: str) -> list[str]:
    return [problem.message for problem in problems(toml)]


def test_a_check_that_would_go_with_its_own_remedy_is_an_error() -> None:
    (message,) = told(a_check("web", "10.1.0.9") + a_route("10.1.0.0/16", "@web"))
    assert (
        "check/web asks 10.1.0.9, and its questions would go with route/10.1.0.0-16, which requires check/web"
        in message
    )
    assert "`via`" in message


def test_a_circle_of_several_checks_is_one_error_that_names_all_of_them() -> None:
    names = ["a", "b", "c"]
    toml = "".join(a_check(name, f"10.{number}.0.9") for number, name in enumerate(names))
    toml += "".join(a_route(f"10.{number}.0.0/16", f"@{names[(number + 1) % 3]}") for number in range(3))
    (message,) = told(toml)
    for name in names:
        assert f"check/{name} asks" in message
        assert f"which requires check/{name}" in message


def test_each_circle_is_told_once_and_a_check_beside_it_is_not_named() -> None:
    toml = "".join(a_check(name, f"10.{number}.0.9") for number, name in enumerate("abcde"))
    for number, other in enumerate("badce"):
        toml += a_route(f"10.{number}.0.0/16", f"@{other}" if number < 4 else "@a")
    messages = told(toml)
    assert len(messages) == 2
    assert not any("check/e" in message for message in messages)


NO_LOOPS = {
    "leans on another one, which stands alone": a_check("a", "10.0.0.9")
    + a_check("b", "10.9.0.9")
    + a_route("10.0.0.0/16", "@b"),
    "has a way of its own": a_check("a", "10.0.0.9", 'via = "192.0.2.1"') + a_route("10.0.0.0/16", "@a"),
    "one of two has a way of its own": a_check("a", "10.0.0.9", 'via = "192.0.2.1"')
    + a_check("b", "10.1.0.9")
    + a_route("10.0.0.0/16", "@b")
    + a_route("10.1.0.0/16", "@a"),
    "the opposite is required": a_check("a", "10.0.0.9") + a_route("10.0.0.0/16", "!@a"),
    "a longer prefix stays": a_check("a", "10.0.0.9") + a_route("10.0.0.0/16", "@a") + a_route("10.0.0.0/24"),
    "asks a gateway, which is a neighbour": a_check("a", "192.0.2.1") + a_route("default", "@a"),
    "two ask their gateways": a_check("a", "192.0.2.1")
    + a_check("b", "198.51.100.1")
    + a_route("default", "@a", "metric = 1")
    + a_route("0.0.0.0/0", "@b", "metric = 2", via="198.51.100.1", dev="eth2"),
    "asks a neighbour on the network of an address": a_check("a", "10.0.0.9")
    + a_route("default", "@a")
    + '[[address]]\naddress = "10.0.0.1/24"\ndev = "eth1"\n',
    "asks this host itself": a_check("a", "127.0.0.1:53", type_="tcp") + a_route("default", "@a"),
    "asks this host itself, IPv6": a_check("a", "[::1]:53", type_="tcp") + a_route("::/0", "@a", via="fe80::1"),
    "leaves by another link": a_check("a", "10.0.0.9", 'dev = "eth2"') + a_route("10.0.0.0/16", "@a"),
    "leaves by another interface": a_check("a", "10.0.0.9", 'dev = "@two"')
    + a_route("10.0.0.0/16", "@a", dev="@one")
    + "".join(f'[[interface]]\nname = "{name}"\nmatch = [{{ name = "{name}" }}]\n' for name in ("one", "two")),
    "it is kept, and stands alone": a_check("a", "10.0.0.9")
    + a_route("10.0.0.0/16", "@a").replace('"withdraw"', '"keep"'),
    "demoted it is still the only one": a_check("a", "10.0.0.9")
    + a_route("10.0.0.0/16", "@a", "down_metric = 900").replace('when_all_down = "withdraw"\n', ""),
    "bound to a link it finds the route of any metric": a_check("a", "10.0.0.9", 'dev = "eth1"')
    + a_route("10.0.0.0/16", "@a", "down_metric = 900").replace('when_all_down = "withdraw"\n', "")
    + a_route("10.0.0.0/16", "", "metric = 500", via="198.51.100.1", dev="eth2").replace('name = "', 'name = "second-'),
}


@pytest.mark.parametrize("toml", NO_LOOPS.values(), ids=NO_LOOPS)
def test_what_can_be_up_again_is_no_error(toml: str) -> None:
    assert told(toml) == []


LOOPS = {
    "bound to the link of the route": a_check("a", "10.0.0.9", 'dev = "eth1"') + a_route("10.0.0.0/16", "@a"),
    "nobody says by which link": a_check("a", "10.0.0.9", 'dev = "eth1"')
    + a_route("10.0.0.0/16", "@a").replace('dev = "eth1"\nreq', "req"),
    "an interface may be any link": a_check("a", "10.0.0.9", 'dev = "eth2"')
    + a_route("10.0.0.0/16", "@a", dev="@one")
    + '[[interface]]\nname = "one"\nmatch = [{ name = "eth2" }]\n',
    "the longer prefix leaves by another link": a_check("a", "10.0.0.9", 'dev = "eth1"')
    + a_route("10.0.0.0/16", "@a")
    + a_route("10.0.0.0/24", dev="eth2", via="198.51.100.1"),
    "not bound to a link it follows the better metric": a_check("a", "10.0.0.9")
    + a_route("10.0.0.0/16", "@a", "down_metric = 900").replace('when_all_down = "withdraw"\n', "")
    + a_route("10.0.0.0/16", "", "metric = 500", via="198.51.100.1", dev="eth2").replace('name = "', 'name = "second-'),
    "IPv6": a_check("a", "2001:db8::9") + a_route("2001:db8::/32", "@a", via="fe80::1"),
    "the longer prefix requires it as well": a_check("a", "10.0.0.9")
    + a_route("10.0.0.0/16", "@a")
    + a_route("10.0.0.0/24", "@a"),
}


@pytest.mark.parametrize("toml", LOOPS.values(), ids=LOOPS)
def test_what_would_be_down_for_ever_is_an_error(toml: str) -> None:
    (message,) = told(toml)
    assert LEADS in message


def a_service(servers: str, keys: str = "", check: str = 'check = { type = "tcp" }') -> str:
    return f'[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = [{servers}]\n{check}\n{keys}\n'


SERVICE_LOOPS = {
    "all servers stand behind the route that requires them": a_service('"10.1.0.11", "10.1.0.12"')
    + a_route("10.1.0.0/16", "@service/api"),
    "too few stand elsewhere": a_service('"10.1.0.11", "10.1.0.12", "10.2.0.13"', "min_healthy = 2")
    + a_route("10.1.0.0/16", "@service/api"),
    "what the service requires itself goes by that route": a_check("a", "10.1.0.9")
    + a_service('"10.2.0.11"', 'requires = "@a"')
    + a_route("10.1.0.0/16", "@service/api"),
}


@pytest.mark.parametrize("toml", SERVICE_LOOPS.values(), ids=SERVICE_LOOPS)
def test_a_circle_by_way_of_a_service_is_one_error(toml: str) -> None:
    (message,) = told(toml)
    assert "which requires service/api and with it check/" in message
    assert LEADS in message


def test_a_route_that_requires_a_service_of_which_enough_stands_elsewhere_is_no_error() -> None:
    assert told(a_service('"10.1.0.11", "10.2.0.12"') + a_route("10.1.0.0/16", "@service/api")) == []


def test_a_service_whose_servers_have_no_check_is_told_in_a_sentence_alone() -> None:
    servers = a_service('"10.2.0.11"', check="")
    (message,) = told(a_check("a", "10.1.0.9") + servers + a_route("10.1.0.0/16", "@service/api"))
    assert "servers without a check" in message
