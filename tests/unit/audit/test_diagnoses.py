"""What a doctor finds, in words: each ailment has some, and each cure is one line that a shell understands."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest

from routed.audit.diagnoses import ADVICE, describe_diagnosis
from routed.audit.filter_words import cure_filter, describe_drop, describe_packet
from routed.cli.doctor import WIDTH, make_document, render
from routed.model.diagnosis import (
    SEVERITIES,
    Ailment,
    Diagnosis,
    Hidden,
    JournalState,
    Obstacle,
    Profile,
    Region,
    RivalProgram,
    Setting,
    StorageState,
    StrangeRoutes,
)
from routed.model.entries import Origin
from routed.model.filters import Dropped, Fate, FilterChain, FilterRule
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import RuleMember
from routed.model.reasons import Overruled
from routed.model.sysctls import SysctlLack, SysctlNeed

CHAIN = FilterChain("inet", "filter", "input", hook="input", policy=Fate.DROP)
SAVED = FilterChain("ip", "filter", "INPUT", hook="input", policy=Fate.DROP, tool="iptables")
SERVICE = {"family": "ip", "daddr": parse_address("10.0.0.80"), "protocol": 6, "dport": 443}
LINE = Setting("/etc/systemd/networkd.conf", 3, "Network", "ManageForeignRoutes", "yes")
HERE = Origin("/etc/routed.toml", 7)
SYSCTL = ("net", "ipv4", "conf", "e;reboot", "forwarding")
RULE = {"rule": "900: from 192.0.2.0/24 lookup 100", "family": IPV4, "member": RuleMember(900, table=100)}
EXAMPLES: dict[Ailment, dict[str, Any]] = {
    Ailment.SYSCTL: {"lack": SysctlLack(SysctlNeed("forwarding", (SYSCTL,), (1,), "rule/a"), SYSCTL, 0, 1)},
    Ailment.NETWORKD_ROUTES: {"key": "ManageForeignRoutes", "setting": LINE, "drop_in": "routed.conf"},
    Ailment.NETWORKD_RULES: {"key": "ManageForeignRoutingPolicyRules", "setting": None, "drop_in": "zz-o'hara.conf"},
    Ailment.NETWORKD_ADDRESSES: {"link": "eth0", "file": "/run/systemd/network/10 e.network", "setting": None},
    Ailment.MANAGER_ROUTES: {"link": "e'th0;x", "how": "it says so", "drop_in": "routed.conf"},
    Ailment.MANAGER_TABLES: {"profile": Profile("it's wired", LINE), "setting": LINE},
    Ailment.FOREIGN_ROUTES: {
        "strange": StrangeRoutes(IPV6, 100, 12, 3, "fd09::/16 dev eth0 proto bird"), "table": "100", "protocol": "bird",
    },
    Ailment.FOREIGN_RULE: RULE,
    Ailment.IPVS_RIVAL: RivalProgram("kube-proxy", 7)._asdict(),
    Ailment.FIREWALL: {
        "hook": "input", "packet": SERVICE, "dropped": Dropped(CHAIN, None), "role": "service", "front_end": "",
    },
    Ailment.TWICE_HERE: {
        "address": "10.0.0.5", "prefixlen": 24, "link": "eth0", "other": "eth1", "other_length": 32,
    },
    Ailment.ELSEWHERE: {"address": "10.0.0.5", "prefixlen": 24, "link": "eth0", "mac": "02:00:00:00:00:99"},
    Ailment.FAILED_DAD: {"address": "fd00::5", "prefixlen": 64, "link": "eth0"},
    Ailment.NO_PROXY: {"address": "fd00::80", "link": "eth0"},
    Ailment.UNUSED_TABLE: {
        "table": "storage", "number": 100, "family": IPV6, "source": "", "origin": HERE, "priority": 32800,
        "is_main_full": False,
    },
    Ailment.EMPTY_TABLE: {**RULE, "table": "100", "origin": HERE},
    Ailment.DEAD_RULE: {**RULE, "other": "1: from all lookup 7", "origin": Origin("/etc/routed.toml.d/a.toml", 1)},
    Ailment.SHADOWED: {"object": "10.9.0.0/16", "reason": Overruled("dev eth0", ""), "family": IPV4, "others": 2},
    Ailment.KERNEL_RULES: {"family": "IPv4", "missing": "0: from all lookup local", "command": "ip rule add"},
    Ailment.STATE_READ_ONLY: StorageState("/var/lib/routed", "/v r", is_read_only=True, free=0, size=0)._asdict(),
    Ailment.STATE_UNSAVED: {"why": "cannot save a revision under /var/lib/routed: No space left on device"},
    Ailment.TAKEN_PROTOCOL: {"number": 12, "name": "bird", "origin": HERE},
    Ailment.STATE_FULL: StorageState("/var/lib/routed", "/var", is_read_only=False, free=5 << 20, size=0)._asdict(),
    Ailment.CLOCK_BEHIND: {"now": 0.0, "latest": 1764000000.0, "number": 7},
    Ailment.CLOCK_FREE: {},
    Ailment.JOURNAL_VOLATILE: JournalState("volatile", LINE._replace(key="Storage", value="volatile"))._asdict(),
    Ailment.UNIT: {"key": "CapabilityBoundingSet", "value": "CAP_NET_RAW"},
    Ailment.CAPABILITY: {"name": "CAP_NET_RAW", "pid": 7},
    Ailment.NO_DAEMON: {},
    Ailment.NOT_SEEN: Hidden(Region.FIREWALL, Obstacle.TOOL, "nft")._asdict(),
}  # fmt: skip
CURES = [describe_diagnosis(Diagnosis(one, "rule/a", details))["cure"] for one, details in EXAMPLES.items()]


def test_each_ailment_has_words_and_a_severity() -> None:
    assert set(ADVICE) == set(SEVERITIES) == set(EXAMPLES) == set(Ailment)


@pytest.mark.parametrize("ailment", Ailment)
def test_each_says_what_it_is_and_why_it_matters_and_leaves_no_template_unfilled(ailment: Ailment) -> None:
    told = describe_diagnosis(Diagnosis(ailment, "rule/a", EXAMPLES[ailment]))
    assert (told["finding"], told["severity"], told["entry"]) == (ailment.value, SEVERITIES[ailment].value, "rule/a")
    assert told["what"]
    assert told["why"]
    assert told["cure"]
    assert told["where"] or ailment is Ailment.NO_DAEMON
    assert "{" not in told["what"] + told["where"] + told["why"] + told["cure"]


@pytest.mark.parametrize("cure", CURES)
def test_each_cure_is_one_line_that_a_shell_understands(cure: str) -> None:
    assert "\n" not in cure
    subprocess.run(["sh", "-n"], input=cure, text=True, check=True)


@pytest.mark.parametrize("cure", CURES)
def test_what_is_printed_of_a_cure_is_the_cure(cure: str) -> None:
    one = {"finding": "x", "severity": "note", "entry": "", "what": "w", "where": "", "why": "", "cure": cure}
    document: Any = {"findings": [one], "counts": {}}
    _, *lines, _ = render(document, is_colored=False)
    assert all(len(line) <= WIDTH for line in lines)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(cure)


def test_all_that_is_printed_has_room_in_80_columns() -> None:
    document = make_document("/etc/routed.toml", [Diagnosis(one, "rule/a", it) for one, it in EXAMPLES.items()])
    assert max(map(len, render(document, is_colored=False))) <= 80


@pytest.mark.parametrize("entry", ["check/wan[rule]", "rule/900", "rule/900:10.0.0.0/8", "rule/r[a]"])
def test_a_rule_that_nobody_gave_a_name_is_never_put_out_by_a_name(entry: str) -> None:
    told = describe_diagnosis(Diagnosis(Ailment.EMPTY_TABLE, entry, EXAMPLES[Ailment.EMPTY_TABLE]))
    assert told["cure"] == "${EDITOR:-vi} +7 /etc/routed.toml && routed apply"


def test_a_rule_that_would_get_nothing_to_do_is_no_cure() -> None:
    """Behind a default route of main comes nothing."""
    full = EXAMPLES[Ailment.UNUSED_TABLE] | {"is_main_full": True}
    assert describe_diagnosis(Diagnosis(Ailment.UNUSED_TABLE, "", full))["cure"] == ""
    with_source = describe_diagnosis(Diagnosis(Ailment.UNUSED_TABLE, "", full | {"source": "fd00::1"}))
    assert 'from = "fd00::1"' in with_source["cure"]


def test_names_of_the_host_are_one_word_of_a_shell() -> None:
    told = describe_diagnosis(Diagnosis(Ailment.MANAGER_ROUTES, "", EXAMPLES[Ailment.MANAGER_ROUTES]))
    assert "e'th0;x" in shlex.split(told["cure"])
    profile = describe_diagnosis(Diagnosis(Ailment.MANAGER_TABLES, "", EXAMPLES[Ailment.MANAGER_TABLES]))
    assert shlex.split(profile["cure"])[3] == "it's wired"


RICH = 'rule family="ipv4" destination address="10.0.0.80" port port="443" protocol="tcp"'
ZONE = "zone=$(firewall-cmd --get-zone-of-interface=eth1 2>/dev/null || firewall-cmd --get-default-zone)"
POLICY = "firewall-cmd --permanent --policy=routed-"
ANSWERED = '--add-rich-rule=\'rule family="ipv4" source address="10.1.0.9" accept\''
FORWARDED = {"family": "ip6", "iif": "eth1"}
ANSWER = {"family": "ip", "saddr": parse_address("10.1.0.9"), "protocol": 6, "sport": 443, "iif": object()}
TUNNEL = {"family": "ip", "protocol": 4, "iif": object()}


@pytest.mark.parametrize(
    ("packet", "hook", "chain", "front_end", "line"),
    [
        (SERVICE, "input", CHAIN, "", "nft insert rule inet filter input ip daddr 10.0.0.80 tcp dport 443 accept"),
        (TUNNEL, "input", CHAIN, "", "nft insert rule inet filter input meta l4proto 4 accept"),
        (FORWARDED, "forward", CHAIN, "", 'nft insert rule inet filter input iifname \\"eth1\\" accept'),
        (SERVICE, "input", SAVED, "", "iptables -I INPUT -d 10.0.0.80 -p tcp --dport 443 -j ACCEPT"),
        (ANSWER, "forward", SAVED, "", "iptables -I INPUT -s 10.1.0.9 -p tcp --sport 443 -j ACCEPT"),
        (TUNNEL, "input", SAVED, "", "iptables -I INPUT -p 4 -j ACCEPT"),
        (FORWARDED, "forward", SAVED, "", "iptables -I INPUT -i eth1 -j ACCEPT"),
        (SERVICE, "input", SAVED, "ufw", "ufw allow proto tcp to 10.0.0.80 port 443"),
        (TUNNEL, "input", SAVED, "ufw", "iptables -I INPUT -p 4 -j ACCEPT"),
        (ANSWER, "forward", SAVED, "ufw", "ufw route allow from 10.1.0.9"),
        (FORWARDED, "forward", SAVED, "ufw", "ufw route allow in on eth1"),
        (
            SERVICE, "input", CHAIN, "firewalld",
            f"firewall-cmd --add-rich-rule='{RICH} accept' && firewall-cmd --runtime-to-permanent",
        ),
        (
            FORWARDED, "forward", CHAIN, "firewalld",
            (f"{ZONE}; firewall-cmd --permanent --zone=$zone --add-interface=eth1"
            " && { firewall-cmd --permanent --new-policy=routed-forward 2>/dev/null; "
            f"{POLICY}forward --add-ingress-zone=$zone && {POLICY}forward --add-egress-zone=ANY"
            f" && {POLICY}forward --set-target=ACCEPT; }} && firewall-cmd --reload"),
        ),
        (
            ANSWER, "forward", CHAIN, "firewalld",
            ("{ firewall-cmd --permanent --new-policy=routed-answers 2>/dev/null; "
            f"{POLICY}answers --add-ingress-zone=ANY && {POLICY}answers --add-egress-zone=ANY"
            f" && {POLICY}answers {ANSWERED}; }} && firewall-cmd --reload"),
        ),
    ],
)  # fmt: skip
def test_a_filter_is_opened_by_the_tool_that_keeps_it(
    packet: Any, hook: str, chain: FilterChain, front_end: str, line: str
) -> None:
    assert cure_filter(packet, hook, Dropped(chain, None), front_end) == line


def test_what_is_dropped_and_by_which_rule_is_said_as_the_tool_has_it() -> None:
    assert describe_packet(SERVICE, "input") == "what comes in for tcp 10.0.0.80:443"
    assert describe_packet(TUNNEL, "input") == "what comes in by ipencap"
    assert describe_packet(FORWARDED, "forward") == "what is forwarded from eth1"
    rule = FilterRule(fate=Fate.DROP, text="-A INPUT -j DROP")
    assert describe_drop(Dropped(SAVED, rule)) == "iptables -t filter -S INPUT: -A INPUT -j DROP"
    assert describe_drop(Dropped(CHAIN, FilterRule(handle=7))) == "nft list chain inet filter input: handle 7"


def test_a_rule_in_front_is_deleted_by_all_that_is_known_of_it() -> None:
    reason = Overruled("10.9.0.0/16 via 10.1.0.2 dev v1 table 55", "50: from all lookup 55 (IPv6)")
    details = {"object": "x", "reason": reason, "family": IPV6, "others": 0}
    told = describe_diagnosis(Diagnosis(Ailment.SHADOWED, "route/a", details))
    assert told["cure"] == "ip -6 rule del priority 50 from all lookup 55"


@pytest.mark.parametrize(
    ("hidden", "where", "cure"),
    [
        (Hidden(Region.FIREWALL, Obstacle.RIGHTS, "nft"), "this user may not", "sudo routed doctor"),
        (Hidden(Region.FIREWALL, Obstacle.TOOL, "nft"), "there is no nft here", "apt-get install nftables"),
        (Hidden(Region.UNIT, Obstacle.ERROR, "systemctl: no bus"), "systemctl: no bus", ""),
    ],
)
def test_what_was_not_seen_says_why_and_how_it_could_be(hidden: Hidden, where: str, cure: str) -> None:
    told = describe_diagnosis(Diagnosis(Ailment.NOT_SEEN, "", hidden._asdict()))
    assert (told["severity"], told["where"], told["cure"]) == ("unseen", where, cure)
