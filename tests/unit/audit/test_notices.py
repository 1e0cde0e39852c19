from __future__ import annotations

import pytest

from routed.audit import notices
from routed.audit.records import Record
from routed.audit.wording import WORDS, Absence
from routed.model.names import DEFAULT_RULES
from routed.model.net import IPV4, IPV6
from routed.model.objects import Kind, RuleMember, RuleSlot
from routed.model.reasons import Fought, NoLink, Paused


def absence(family: int, *priorities: int) -> Absence:
    describe = WORDS[Kind.RULE].describe_absent
    assert describe is not None
    return describe(RuleSlot(family), [RuleMember(one, table=DEFAULT_RULES[family][one]) for one in priorities])


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            notices.note_started("0.1.0", "/etc/routed.toml", 114),
            "routed 0.1.0 started with /etc/routed.toml, protocol 114",
        ),
        (notices.note_stopped(True), "routed stopped; its objects stay"),
        (notices.note_stopped(False), "routed stopped; its objects were removed"),
        (
            notices.note_config_loaded("/etc/routed.toml", 1, 12, 3),
            "/etc/routed.toml is in force: 1 entry, 12 objects, revision 3",
        ),
        (
            notices.note_config_rejected("/etc/routed.toml", ["a.toml:1:2: bad\n    x\n    ^", "b"]),
            "/etc/routed.toml is invalid and changes nothing: a.toml:1:2: bad (and 1 problem more: routed check)",
        ),
        (
            notices.note_files_changed(["/etc/routed.toml", "/etc/routed.toml.d/a.toml"]),
            "/etc/routed.toml, /etc/routed.toml.d/a.toml changed, not in force: routed apply puts it in force",
        ),
        (
            notices.note_fight_held("route/a", "10.0.0.0/8", 120.0, Fought(30, 2, 4242)),
            (
                "route/a 10.0.0.0/8 held for 2 min: undone 30 times within 2 s by another process"
                " (the last was port id 4242, whose process is not known)"
            ),
        ),
        (
            notices.note_fight_held("service/a", "TCP 10.0.0.1:80", 60.0, Fought(6, 3, None), [bytes((10, 0, 0, 1))]),
            (
                "service/a TCP 10.0.0.1:80 held for 1 min: undone 6 times within 3 s by another process (it is not"
                " known who); what else keeps IPVS has to leave 10.0.0.1/32 alone (kube-proxy: --ipvs-exclude-cidrs)"
            ),
        ),
        (notices.note_fight_over("route/a", ""), "route/a enforced again: nobody undoes it any more"),
        (notices.note_paused("", 90.0, Paused("maintenance")), "everything paused for 90 s: maintenance"),
        (notices.note_paused("rule/b", 3600.0, Paused("")), "rule/b paused for 1 h: paused by the operator"),
        (notices.note_paused("rule/b", 60.0, Paused("tests", "alice")), "rule/b paused for 1 min: tests (by alice)"),
        (notices.note_resumed("rule/b", is_over=True), "rule/b enforced again: the pause is over"),
        (notices.note_waiting("route/a", "f:1", NoLink("eth9")), "route/a waits: link eth9 does not exist"),
        (
            notices.note_default_rules_missing(absence(IPV4, 0, 32767)),
            (
                "the kernel's own IPv4 rules are missing: 0: from all lookup local, 32767: from all lookup default;"
                " ip -4 rule add priority 0 lookup local; ip -4 rule add priority 32767 lookup default brings them back"
            ),
        ),
        (
            notices.note_default_rules_missing(absence(IPV6, 32766)),
            (
                "the kernel's own IPv6 rules are missing: 32766: from all lookup main;"
                " ip -6 rule add priority 32766 lookup main brings them back"
            ),
        ),
    ],
)
def test_every_notice_says_its_sentence(record: Record, sentence: str) -> None:
    assert record.message == sentence


def test_the_record_of_a_rejected_file_holds_every_problem() -> None:
    record = notices.note_config_rejected("f", ["one", "two", "three"])
    assert record.fields["ROUTED_REASON"] == "one\ntwo\nthree"
