"""Which sysctls services take: each row, said by the file and by the addresses of the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from routed.audit.sysctls import WHY, describe_lack, format_sysctl
from routed.core.sysctls import ROWS, find_lacks, find_needs
from routed.daemon.tuning import AGE, Tuning
from routed.intent.complaints import keys_of
from routed.intent.schema import Sysctls
from routed.model.entries import Intent
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import parse_address
from routed.model.objects import AddressMember, Kind
from routed.model.sysctls import Sysctl, SysctlLack
from tests.unit.intent.intent_help import read

SERVICE = '[[service]]\nname = "api"\n'
PLACE = 'listen = "10.0.0.80:443"\n'
SERVERS = 'servers = ["10.1.0.11", "10.1.0.12"]\n'
CHECK = 'check = { type = "tcp" }\n'
LOCAL = '[[vip]]\nname = "v"\naddress = "10.0.0.80"\nnode = "10.0.0.254"\nlocal = true\n'
ROUTED = LOCAL.replace("local = true\n", "")
SIX = 'listen = "@local:443"\nservers = ["2001:db8::11"]\n'
DIRECT = 'forward = "direct"\n'

EXPIRE, QUIESCENT, TRACK = (
    f"net.ipv4.vs.{one}" for one in ("expire_nodest_conn", "expire_quiescent_template", "conntrack")
)


def host() -> Facts:
    """``eth0`` with 10.0.0.254/24, ``eth1.7`` with 10.1.0.254/24."""
    links = {number: Link(number, name, True, True) for number, name in ((2, "eth0"), (3, "eth1.7"))}
    held = [HostAddress(dev, parse_address(address), 24, 0) for dev, address in ((2, "10.0.0.254"), (3, "10.1.0.254"))]
    return Facts(links=links, addresses={AddressMember(one.dev, one.address, 24): one for one in held})


def stands(**values: int) -> Callable[[Sysctl], int | None]:
    """As a host after its boot, but for these, by the last part of their names."""
    return lambda name: values.get(name[-1], 0)


def lacks(text: str, **values: int) -> dict[str, int]:
    intent = read(text)
    needs = find_needs(intent.entries, host(), dict(intent.settings.ipvs.sysctl))
    return {format_sysctl(lack.name): lack.wanted for lack in find_lacks(needs, stands(**values))}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (SERVICE + PLACE + SERVERS, {}),
        (SERVICE + PLACE + SERVERS + CHECK, {EXPIRE: 1}),
        (SERVICE + PLACE + SERVERS + CHECK + 'persistence = "1h"\n', {EXPIRE: 1, QUIESCENT: 1}),
        (SERVICE + PLACE + SERVERS + 'persistence = "1h"\n', {}),
        ("[ipvs]\nsysctl = { conntrack = true }\n" + SERVICE + PLACE + SERVERS, {TRACK: 1}),
        (SERVICE + 'listen = "@local:443"\n' + SERVERS, {"net.ipv4.ip_forward": 1}),
        (SERVICE + 'listen = "@local:443"\nservers = ["127.0.0.1", "10.0.0.254"]\n', {}),
        (SERVICE + "fwmark = 7\n" + SERVERS, {"net.ipv4.ip_forward": 1}),
        (SERVICE + "fwmark = 7\n" + SERVERS + DIRECT, {}),
        (SERVICE + SIX, {"net.ipv6.conf.all.forwarding": 1}),
        (SERVICE + PLACE + SERVERS + LOCAL, {"net.ipv4.ip_forward": 1}),
        (SERVICE + PLACE + SERVERS + ROUTED, {}),  # of use to this host alone
        (
            SERVICE + PLACE + SERVERS + DIRECT + LOCAL,
            {"net/ipv4/conf/eth1.7/accept_local": 1},
        ),
        (SERVICE + PLACE + 'servers = ["10.9.0.11"]\n' + DIRECT + LOCAL, {"net.ipv4.conf.all.accept_local": 1}),
        ("[ipvs]\nsysctl = { accept_local = false }\n" + SERVICE + PLACE + SERVERS + DIRECT + LOCAL, {}),
    ],
)
def test_services_take_what_they_cannot_do_without_and_nothing_else(text: str, wanted: dict[str, int]) -> None:
    assert lacks(text) == wanted


def test_what_stands_as_it_is_taken_is_nothing_to_tell() -> None:
    text = SERVICE + PLACE + SERVERS + CHECK + LOCAL
    assert lacks(text, expire_nodest_conn=1, ip_forward=1) == {}


def test_a_vip_that_is_answered_for_on_no_link_is_told_with_all_that_silences_it() -> None:
    text = SERVICE + PLACE + SERVERS + LOCAL
    found = lacks(text, arp_ignore=1, ip_forward=1)
    assert found == {"net.ipv4.conf.all.arp_ignore": 0, "net.ipv4.conf.eth0.arp_ignore": 0}
    assert lacks(LOCAL, arp_ignore=1) == {}  # no service stands behind it


def test_strict_filtering_drops_the_answers_that_this_host_gets_of_its_own_address() -> None:
    text = SERVICE + PLACE + SERVERS + DIRECT + LOCAL
    assert lacks(text, accept_local=1, rp_filter=1) == {"net/ipv4/conf/eth1.7/rp_filter": 2}
    assert lacks(text, accept_local=1, rp_filter=2) == {}


def test_what_cannot_be_read_is_nothing_to_tell() -> None:
    needs = find_needs(read(SERVICE + PLACE + SERVERS + CHECK).entries, host(), {})
    assert list(find_lacks(needs, lambda _: None)) == []


@pytest.mark.parametrize("value", [0, 1, 2])
def test_what_the_kernel_asks_only_whether_it_is_0_is_on_with_any_other_number(value: int) -> None:
    needs = find_needs(read(SERVICE + PLACE + SERVERS + CHECK).entries, host(), {})
    assert bool(list(find_lacks(needs, lambda _: value))) is (value == 0)


def test_a_link_may_be_called_what_a_shell_would_run() -> None:
    (need, *_) = find_needs(read(SERVICE + PLACE + SERVERS + CHECK).entries, host(), {})
    command = describe_lack(SysctlLack(need, ("net", "ipv4", "conf", "e;reboot", "accept_local"), 0, 1))["command"]
    assert command == "sysctl -w 'net.ipv4.conf.e;reboot.accept_local=1'"


def test_each_row_has_a_key_in_the_file_and_says_what_is_lost() -> None:
    assert ROWS.keys() == WHY.keys() == set(keys_of(Sysctls))


def test_what_is_told_names_the_entry_and_the_command() -> None:
    intent = read(SERVICE + PLACE + SERVERS + CHECK)
    (need,) = find_needs(intent.entries, host(), {})
    told = describe_lack(SysctlLack(need, need.names[0], 0, 1))
    assert (told["entry"], told["command"]) == ("service/api", f"sysctl -w {EXPIRE}=1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "net/ipv4/vs").mkdir(parents=True)
    return tmp_path


def test_it_is_read_when_asked_and_for_the_headline_when_the_files_are_others_or_after_a_minute(root: Path) -> None:
    file, now = root / "net/ipv4/vs/expire_nodest_conn", [100.0]
    daemon = Mock()
    daemon.world.facts = host()
    daemon.wanted.find_whole.return_value = read(SERVICE + PLACE + SERVERS + CHECK)
    daemon.wanted.desired.wants = {Kind.SERVICE: {"something": "wanted"}}
    tuning = Tuning(daemon, root, lambda: now[0])
    assert tuning.summarise() == ""  # the module is not there yet
    file.write_text("0\n")
    assert tuning.summarise() == ""
    now[0] += AGE + 1
    assert tuning.summarise() == f"{EXPIRE} is not as the services take it; "
    file.write_text("1\n")
    assert tuning.look() == []
    assert tuning.summarise() == ""
    file.write_text("0\n")
    daemon.wanted.find_whole.return_value = read(SERVICE + PLACE + SERVERS + CHECK + "remove_after = '1s'")
    assert tuning.summarise() != ""
    daemon.wanted.find_whole.return_value = Intent()
    daemon.wanted.desired.wants = {}
    assert tuning.summarise() == ""
