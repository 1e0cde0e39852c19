"""Packets and the chains that drop them, in words; and the line that lets them through, for each tool.

Here must never live: whether anything is dropped (``core.filters``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import Final

from routed.model.filters import Dropped, FilteredPacket
from routed.model.names import IP_PROTOCOLS
from routed.model.net import format_address, format_endpoint

_WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})
_HOOK_WORDS: Final[Mapping[str, str]] = {
    "prerouting": "what comes in", "input": "what comes in", "forward": "what is forwarded",
    "output": "what this host sends", "postrouting": "what goes out",
}  # fmt: skip


def describe_packet(packet: FilteredPacket, hook: str) -> str:
    """``what comes in for tcp 10.0.0.80:443``."""
    words = [_HOOK_WORDS[hook]]
    if "daddr" in packet:
        words += ["for", _name_protocol(packet), format_endpoint(packet["daddr"], packet.get("dport", 0))]
    elif "saddr" in packet:
        words += ["from", _name_protocol(packet), format_endpoint(packet["saddr"], packet.get("sport", 0))]
    elif "protocol" in packet:
        words += ["by", _name_protocol(packet)]
    elif isinstance(packet.get("iif"), str):
        words += ["from", packet["iif"]]
    return " ".join(words)


def describe_drop(dropped: Dropped) -> str:
    """``nft list chain inet filter input: policy drop``."""
    chain = dropped.chain
    if chain.tool == "nft":
        place = f"nft list chain {chain.family} {chain.table} {chain.name}"
    else:
        place = f"{chain.tool} -t {chain.table} -S {chain.name}"
    if dropped.rule is None:
        return f"{place}: policy drop"
    return f"{place}: {dropped.rule.text or f'handle {dropped.rule.handle}'}"


def cure_filter(packet: FilteredPacket, hook: str, dropped: Dropped, front_end: str) -> str:
    """The line that lets such packets through, by the tool that keeps the chains."""
    maker = _FRONT_ENDS.get((front_end, hook))
    made = maker(packet) if maker else ""
    return made or (_cure_nft if dropped.chain.tool == "nft" else _cure_iptables)(packet, dropped)


def _cure_nft(packet: FilteredPacket, dropped: Dropped) -> str:
    chain, words = dropped.chain, []
    for field in ("saddr", "daddr"):
        if field in packet:
            words += [packet["family"], field, format_address(packet[field])]
    if protocol := packet.get("protocol"):
        name = IP_PROTOCOLS.get(protocol, str(protocol))
        ports = [
            word for field in ("sport", "dport") if packet.get(field) for word in (name, field, str(packet[field]))
        ]
        words += ports if protocol in _WITH_PORTS and ports else ["meta", "l4proto", str(protocol)]
    if isinstance(packet.get("iif"), str):
        words += ["iifname", f'\\"{packet["iif"]}\\"']
    return " ".join(["nft", "insert", "rule", chain.family, quote(chain.table), quote(chain.name), *words, "accept"])


def _cure_iptables(packet: FilteredPacket, dropped: Dropped) -> str:
    chain, words = dropped.chain, []
    for field, option in (("saddr", "-s"), ("daddr", "-d")):
        if field in packet:
            words += [option, format_address(packet[field])]
    if protocol := packet.get("protocol"):
        words += ["-p", _name_protocol(packet) if protocol in _WITH_PORTS else str(protocol)]
        words += [
            word for field in ("sport", "dport") if packet.get(field) for word in (f"--{field}", str(packet[field]))
        ]
    if isinstance(packet.get("iif"), str):
        words += ["-i", quote(packet["iif"])]
    table = [] if chain.table == "filter" else ["-t", chain.table]
    return " ".join([chain.tool, *table, "-I", chain.name, *words, "-j", "ACCEPT"])


def _cure_firewalld(packet: FilteredPacket) -> str:
    family = {"ip": "ipv4", "ip6": "ipv6"}[packet["family"]]
    rule = f'rule family="{family}"'
    if "daddr" in packet:
        rule += f' destination address="{format_address(packet["daddr"])}"'
    if packet.get("dport"):
        rule += f' port port="{packet["dport"]}" protocol="{_name_protocol(packet)}"'
    else:
        rule += f' protocol value="{_name_protocol(packet)}"'
    return f"firewall-cmd --add-rich-rule='{rule} accept' && firewall-cmd --runtime-to-permanent"


def _cure_firewalld_forward(packet: FilteredPacket) -> str:
    """By a policy: what a direct rule accepts is dropped by firewalld's own table behind it all the same.

    A policy is for zones and not for links: so it is for all that comes in by the zone of this one. A link that no zone
    has belongs to the default one, and yet to no policy.
    """
    if "saddr" in packet:
        family = {"ip": "ipv4", "ip6": "ipv6"}[packet["family"]]
        rule = f'rule family="{family}" source address="{format_address(packet["saddr"])}" accept'
        return _make_policy("routed-answers", "ANY", f"--add-rich-rule='{rule}'")
    link = quote(str(packet["iif"]))
    zone = f"zone=$(firewall-cmd --get-zone-of-interface={link} 2>/dev/null || firewall-cmd --get-default-zone)"
    joined = f"firewall-cmd --permanent --zone=$zone --add-interface={link}"  # else no policy is for it
    return f"{zone}; {joined} && {_make_policy('routed-forward', '$zone', '--set-target=ACCEPT')}"


def _make_policy(name: str, ingress: str, *settings: str) -> str:
    """The line for a policy, which may be there from another time. It takes one setting at a time."""
    change = f"firewall-cmd --permanent --policy={name}"
    zones = f"--add-ingress-zone={ingress}", "--add-egress-zone=ANY"
    changes = " && ".join(f"{change} {one}" for one in (*zones, *settings))
    made = f"{{ firewall-cmd --permanent --new-policy={name} 2>/dev/null; {changes}; }}"
    return f"{made} && firewall-cmd --reload"


def _cure_ufw(packet: FilteredPacket) -> str:
    if packet.get("protocol") not in {6, 17}:
        return ""
    port = f" port {packet['dport']}" if packet.get("dport") else ""
    return f"ufw allow proto {_name_protocol(packet)} to {format_address(packet['daddr'])}{port}"


def _cure_ufw_forward(packet: FilteredPacket) -> str:
    if "saddr" in packet:
        return f"ufw route allow from {format_address(packet['saddr'])}"
    return f"ufw route allow in on {quote(str(packet['iif']))}"


def _name_protocol(packet: FilteredPacket) -> str:
    number = packet["protocol"]
    return IP_PROTOCOLS.get(number, str(number))


_FRONT_ENDS: Final[Mapping[tuple[str, str], Callable[[FilteredPacket], str]]] = {
    ("firewalld", "input"): _cure_firewalld,
    ("firewalld", "forward"): _cure_firewalld_forward,
    ("ufw", "input"): _cure_ufw,
    ("ufw", "forward"): _cure_ufw_forward,
}
