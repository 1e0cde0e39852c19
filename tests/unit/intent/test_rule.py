"""``[[rule]]``: what it may say, and what the kernel would refuse."""

from __future__ import annotations

from struct import pack

import pytest

from routed.model.attributes import split
from routed.model.entries import RuleEntry
from routed.model.net import IPV4, IPV6, parse_prefix
from tests.unit.intent.intent_help import complaint, entry


def rule(text: str) -> RuleEntry:
    found = entry("[[rule]]\npriority = 100\n" + text)
    assert isinstance(found, RuleEntry)
    return found


def refused(text: str) -> str:
    return complaint("[[rule]]\n" + text)


def test_a_rule_says_all_that_ip_rule_says() -> None:
    found = rule("""
        not = true
        from = "10.20.0.0/21"
        to = "10.30.0.0/16"
        iif = "lo"
        oif = "eth0"
        fwmark = "0x30/0xff"
        ipproto = "tcp"
        sport = 80
        dport = "1000-2000"
        uidrange = "0-99"
        tos = 16
        table = 120
        suppress_prefixlength = 0
        suppress_ifgroup = 3
    """)
    assert found.families == (IPV4,)
    assert found.rule.inverted
    assert (found.rule.source, found.rule.destination) == (parse_prefix("10.20.0.0/21"), parse_prefix("10.30.0.0/16"))
    assert (found.rule.iif, found.rule.oif, found.rule.tos, found.rule.table) == ("lo", "eth0", 16, 120)
    assert (found.rule.fwmark, found.rule.fwmask) == (0x30, 0xFF)
    assert (found.rule.ipproto, found.rule.sport, found.rule.dport, found.rule.uidrange) == (
        6,
        (80, 80),
        (1000, 2000),
        (0, 99),
    )
    assert (found.rule.suppress_prefixlength, found.rule.suppress_ifgroup) == (0, 3)


@pytest.mark.parametrize(
    ("text", "action", "target"),
    [("table = 7", 1, 0), ("goto = 32766", 2, 32766), ('type = "nop"', 3, 0), ('type = "blackhole"', 6, 0),
     ('type = "unreachable"', 7, 0), ('type = "prohibit"', 8, 0), ("l3mdev = true", 1, 0)],
)  # fmt: skip
def test_every_action_exists(text: str, action: int, target: int) -> None:
    found = rule('from = "10.0.0.0/8"\n' + text)
    assert (found.rule.action, found.rule.target) == (action, target)


def test_words_that_are_attributes_are_kept_as_the_kernel_shows_them() -> None:
    found = rule('from = "10.0.0.0/8"\ntable = 7\ndscp = "8/0x38"\nsport = "80/0xfff0"')
    assert split(found.rule.extra) == {25: b"\x08", 30: b"\x38", 28: pack("=H", 0xFFF0)}
    assert split(rule('from = "10.0.0.0/8"\ntable = 7\ndscp = "0xa/0x3f"\nsport = "80/0xffff"').rule.extra) == {
        25: b"\x0a"
    }
    label = rule('family = "ipv6"\ntable = 7\nflowlabel = 5').rule.extra
    assert split(label) == {26: b"\0\0\0\5", 27: b"\0\x0f\xff\xff"}  # the kernel wants to be told the mask


def test_main_beside_goto_is_what_ip_puts_there_by_itself_and_says_nothing() -> None:
    assert rule('from = "10.0.0.0/8"\ngoto = 32766\ntable = "main"').rule.table == 0
    assert rule('from = "10.0.0.0/8"\ngoto = 32766\ntable = 7').rule.table == 7


def test_a_rule_of_both_families_is_one_entry() -> None:
    assert rule('family = "both"\nfwmark = 1\ntable = 7').families == (IPV4, IPV6)


def test_from_everything_is_no_selector_as_the_kernel_reads_it_back() -> None:
    assert rule('from = "0.0.0.0/0"\ntable = 7').rule.source == b""
    assert rule('from = "all"\nfamily = "ipv6"\ntable = 7').families == (IPV6,)


P = "priority = 100\n"
F = P + 'from = "10.0.0.0/8"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('from = "10.0.0.0/8"\ntable = 7', "no `priority`"),
        ('priority = 0\nfrom = "10.0.0.0/8"\ntable = 7', "kernel's own rule"),
        ('priority = 32766\nfrom = "10.0.0.0/8"\ntable = 7', "kernel's own rule"),
        ('priority = 32767\nfrom = "10.0.0.0/8"\ntable = 7', "kernel's own rule"),
        ('priority = 4294967296\nfrom = "10.0.0.0/8"\ntable = 7', "4294967295 or less"),
        (P + "fwmark = 1\ntable = 7", "nothing tells the family"),
        (F, "what to do"),
        (F + 'table = 7\ntype = "nop"', "exclude each other"),
        (F + "table = 7\nl3mdev = true", "exclude each other"),
        (F + "goto = 50", "must be higher"),
        (F + "goto = 5000", "no ipv4 rule of priority 5000"),
        (F + 'to = "2001:db8::/32"\ntable = 7', "different families"),
        (F + 'family = "both"\ntable = 7', "`family` is both"),
        (F + "table = 7\ntos = 3", "ECN"),
        (F + "table = 7\ntos = 32", "`tos` of an IPv4 rule is 28 or less / write dscp = 8"),
        (F + "table = 7\nsport = 65535", "1 to 65534"),
        (F + "table = 7\nsport = 0", "1 to 65534"),
        (F + 'table = 7\nsport = "20-10"', "lower one first"),
        (F + 'table = 7\nipproto = "icmp"\ndport = 80', "icmp has no ports"),
        (F + 'table = 7\nipproto = "nosuch"', "is not an IP protocol"),
        (F + "table = 7\nipproto = 256", "from 1 to 255"),
        (F + 'table = 7\nuidrange = "0-4294967295"', "0 to 4294967294"),
        (F + 'table = 7\nfwmark = "1/0"', "every packet"),
        (F + 'table = 7\nfwmark = "x"', "is not a mark"),
        (F + 'table = 7\nfwmark = "0x100000000"', "is not a mark"),
        (F + "table = 7\nsuppress_prefixlength = 33", "32 or less"),
        (F + "table = true", "must be a string"),
        (F + "table = 7\ndscp = 64", "from 0 to 63"),
        (F + 'table = 7\ndscp = "10/0x38"', "0xa has bits that its mask 0x38 has not"),
        (F + 'table = 7\ndscp = "AF99"', 'unknown type of service "AF99"'),
        (F + "table = 7\ntos = 16\ndscp = 10", "`tos` and `dscp` exclude each other"),
        (F + "table = 7\nflowlabel = 5", "`flowlabel` is for IPv6 only"),
        (F + 'table = 7\nsport = "80-90/0xf0"', "is not a port"),
        (F + 'table = 7\nsport = "81/0xfff0"', "0x51 has bits that its mask 0xfff0 has not"),
        (F + "goto = 32766\nl3mdev = true", "exclude each other"),
        (P + 'from = "@storage"\ntable = 7', 'no [[interface]] is named "storage"'),
    ],
)
def test_what_the_kernel_would_refuse_is_refused_before(text: str, said: str) -> None:
    assert said in refused(text)
