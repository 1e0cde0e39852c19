"""The journal as the audit: an operator asks it what happened to a route, who did it, and what to do."""

from __future__ import annotations

import re

import pytest

from tests.vm.conftest import Installation
from tests.vm.host import DROP_INS, LAN, SAN, SLOW, Host

ROUTES = (
    '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
    '[[route]]\nname = "backup"\nto = "10.41.0.0/16"\nvia = "10.30.0.1"\n'
)


# By a process that is still there when it is looked at.
HARM = (
    "(echo route del 10.40.0.0/16; sleep 3) | ip -batch -",
    "(echo route change 10.41.0.0/16 via 10.30.0.9 proto routed; sleep 3) | ip -batch -",
)


@pytest.fixture(scope="module")
def told(installation: Installation) -> Host:
    """A host on which somebody deleted one route and then changed the other, both of which are right again."""
    host = installation.host
    host.clear()
    host.start(ROUTES)
    for number, command in enumerate(HARM, start=1):
        host.do(command)
        host.wait_for_records(number, "ROUTED_EVENT=repaired")
    return host


def test_one_deleted_route_is_one_record_that_names_the_command(told: Host) -> None:
    (record,) = told.journal("ROUTED_EVENT=repaired", "ROUTED_ENTRY=route/storage-lan")
    assert record["MESSAGE"].startswith('route/storage-lan 10.40.0.0/16 deleted by "ip -batch -" (pid ')
    assert record["ROUTED_AFTER"] == f"10.40.0.0/16 via 10.20.0.1 dev {LAN} proto routed"
    assert "ROUTED_BEFORE" not in record  # nothing stood there
    assert record["ROUTED_ACTOR_COMM"] == "ip"
    assert record["ROUTED_ACTOR_UID"] == "0"
    assert record["ROUTED_ACTOR_UNIT"] == "agent.service"
    assert record["INTERFACE"] == LAN


def test_before_and_after_are_told_as_ip_route_prints_them(told: Host) -> None:
    (record,) = told.journal("ROUTED_EVENT=repaired", "ROUTED_ENTRY=route/backup")
    assert record["ROUTED_BEFORE"] == f"10.41.0.0/16 via 10.30.0.9 dev {SAN} proto routed"
    assert record["ROUTED_AFTER"] == f"10.41.0.0/16 via 10.30.0.1 dev {SAN} proto routed"


def test_the_story_of_one_entry_is_a_match_away(told: Host) -> None:
    shown = told.do("journalctl -u routed ROUTED_ENTRY=route/backup --output=cat")
    assert re.search(r'10\.41\.0\.0/16\b.*by "ip -batch -"', shown)
    assert "10.40.0.0/16" not in shown


def test_the_journal_lists_the_entries_that_it_knows(told: Host) -> None:
    assert {"route/storage-lan", "route/backup"} <= set(told.do("journalctl --field=ROUTED_ENTRY").split())


def test_the_catalogue_explains_what_happened_and_what_to_do(told: Host) -> None:
    shown = told.do("journalctl -x -u routed --lines=20 --no-pager")
    assert "Documentation: man:routed-messages(7)" in shown
    assert "What routed did: It put the object right." in shown


def test_verbose_output_shows_every_field(told: Host) -> None:
    shown = told.do("journalctl -t routed -o verbose --lines=1 ROUTED_EVENT=repaired")
    for field in (
        "MESSAGE_ID=",
        "ROUTED_OBJECT=10.41.0.0/16",
        "ROUTED_ORIGIN=/etc/routed.toml:",
        "ROUTED_ELAPSED_USEC=",
    ):
        assert field in shown


def test_history_and_blame_read_the_journal(told: Host) -> None:
    assert '10.40.0.0/16 deleted by "ip -batch -"' in told.do("routed history route/storage-lan")
    assert re.search(r"\bip\b", told.do("routed blame route/storage-lan"))


def test_a_pass_that_changes_nothing_writes_nothing(told: Host) -> None:
    before = len(told.journal())
    told.do("ip link set enp0s18 up; ip route add 10.99.0.0/16 via 10.20.0.9; ip route del 10.99.0.0/16")
    assert told.reload().code == 0
    assert len(told.journal()) == before


def test_with_the_drop_in_commands_that_end_at_once_are_named_as_well(host: Host) -> None:
    host.do(f"install -D -m 644 /usr/share/routed/drop-ins/attribution.conf {DROP_INS}/attribution.conf")
    host.do("systemctl daemon-reload", within=SLOW)
    host.start(ROUTES)
    for times in range(1, 11):
        host.do("ip route del 10.40.0.0/16")
        host.wait_for_records(times, "ROUTED_EVENT=repaired")
    for record in host.journal("ROUTED_EVENT=repaired"):
        assert record["ROUTED_ACTOR_CMDLINE"] == "ip route del 10.40.0.0/16"
        # it may end between the look at its arguments and the one at its unit
        assert record.get("ROUTED_ACTOR_UNIT", "agent.service") == "agent.service"
