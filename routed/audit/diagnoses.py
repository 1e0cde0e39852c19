"""What a doctor finds, in words: what it is, by what it is seen, why it matters, and the line that cures it.

One row for each ailment. A template is filled with the details of a diagnosis; ``!q`` writes a value so that a shell
takes it as one word. A cure is a line for a shell, or empty where this host has none.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from shlex import quote
from typing import Any, Final, NamedTuple

from routed.audit.figures import format_count
from routed.audit.filter_words import cure_filter, describe_drop, describe_packet
from routed.audit.reasons import describe_reason
from routed.audit.sysctls import describe_lack
from routed.model.diagnosis import Ailment, Diagnosis, Obstacle, Region, Setting
from routed.model.doctor_documents import FindingDocument
from routed.model.net import IPV4
from routed.model.reasons import Overruled

Details = Mapping[str, Any]


class Advice(NamedTuple):
    """The words of one ailment: templates of its details."""

    what: str
    why: str
    cure: str = ""
    where: str = ""  # by what it is seen
    prepare: Callable[[Details], Details] = lambda details: details  # details that the templates name


class _Formatter(string.Formatter):
    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return quote(str(value)) if conversion == "q" else super().convert_field(value, conversion)


_FORMATTER: Final = _Formatter()


def describe_diagnosis(one: Diagnosis) -> FindingDocument:
    """One finding as a document."""
    advice = ADVICE[one.ailment]
    details = {"entry": one.entry} | dict(one.details)
    details.update(advice.prepare(details))
    what, where, why, cure = (
        _FORMATTER.vformat(template, (), details) for template in (advice.what, advice.where, advice.why, advice.cure)
    )
    return FindingDocument(
        finding=one.ailment.value,
        severity=one.severity.value,
        entry=one.entry,
        what=what,
        where=where,
        why=why,
        cure=cure,
    )


def _prepare_sysctl(details: Details) -> Details:
    told = describe_lack(details["lack"])
    path = "/".join(("/proc/sys", *details["lack"].name))
    words = {"told": told["sysctl"], "value": told["value"], "why": told["reason"], "command": told["command"]}
    return {**words, "path": path}


def _place(setting: Setting | None, key: str, default: str) -> str:
    if setting is None:
        return f"no file says {key}=, and the default is {default}"
    return f"{setting.file}:{setting.line}: {setting.key}={setting.value}"


def _prepare_networkd(details: Details) -> Details:
    return {"seen": _place(details["setting"], details["key"], "yes")}


def _prepare_networkd_link(details: Details) -> Details:
    file = details["file"]
    name = file.rpartition("/")[2]
    return {
        "seen": f"{file}; {_place(details['setting'], 'KeepConfiguration', 'no')}",
        "folder": f"/etc/systemd/network/{name}.d",
    }


def _prepare_profile(details: Details) -> Details:
    setting, profile = details["setting"], details["profile"]
    return {"seen": _place(setting, "", ""), "name": profile.name, "key": f"{setting.section}.{setting.key}"}


def _prepare_strangers(details: Details) -> Details:
    one = details["strange"]
    option = "" if one.family == IPV4 else "-6 "
    count = "one route" if one.number == 1 else f"{one.number} routes"
    return {
        "count": count,
        "first": one.first,
        "cure": f"ip {option}route flush table {one.table} proto {one.protocol}",
    }


def _ip(details: Details) -> str:
    return "ip" if details["family"] == IPV4 else "ip -6"


def _prepare_rule(details: Details) -> Details:
    rule = details["member"]
    selector = str(details["rule"]).removesuffix(" (IPv6)").partition(": ")[2]
    return {"ip": _ip(details), "priority": rule.priority, "selector": selector}


def _drop_in(details: Details) -> str:
    """A file behind all others of the main file in which an entry stands."""
    main, dot_d, _ = details["origin"].file.partition(".toml.d/")
    return f"{main}.toml.d" if dot_d else f"{details['origin'].file}.d"


def _prepare_disabled(details: Details) -> Details:
    """A drop-in by the name that was written. What has none, or is made for another table, is changed by hand alone."""
    origin = details["origin"]
    kind, _, name = details["entry"].partition("/")
    if kind != "rule" or name == str(details["member"].priority) or not _WRITTEN_NAME.fullmatch(name):
        return {"seen": str(origin), "cure": f"${{EDITOR:-vi}} +{origin.line} {quote(origin.file)} && routed apply"}
    folder = _drop_in(details)
    text = f'[[{kind}]]\\nname = "{name}"\\ndisabled = true\\n'
    command = (
        f"mkdir -p {quote(folder)} && printf '{text}' >{quote(f'{folder}/zz-without-{name}.toml')} && routed apply"
    )
    return {"seen": str(origin), "cure": command}


_WRITTEN_NAME: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)  # another one is made of what the table says


def _prepare_protocol(details: Details) -> Details:
    file = quote(f"{_drop_in(details)}/zz-protocol.toml")
    command = f"mkdir -p {quote(_drop_in(details))} && printf '[daemon]\\nprotocol = 114\\n' >{file} && routed apply"
    return {"cure": command}


def _prepare_table(details: Details) -> Details:
    family = f'family = "{"ipv4" if details["family"] == IPV4 else "ipv6"}"\\n'
    if not details["source"] and details["is_main_full"]:  # a rule behind that of main would get nothing to do
        return {"seen": str(details["origin"]), "cure": ""}
    source = f'from = "{details["source"]}"\\n' if details["source"] else family
    folder, number = _drop_in(details), details["number"]
    text = f"[[rule]]\\npriority = {details['priority']}\\n{source}table = {number}\\n"
    command = f"mkdir -p {quote(folder)} && printf '{text}' >{quote(f'{folder}/table-{number}.toml')} && routed apply"
    return {"seen": str(details["origin"]), "cure": command}


def _prepare_shadowed(details: Details) -> Details:
    reason = details["reason"]
    cure = ""
    if isinstance(reason, Overruled):
        cure = f"{_ip(details)} route del {reason.route}" if reason.route and not reason.rule else _delete_rule(details)
    others = details["others"]
    more = f", and {format_count(others, 'object')} more" if others else ""
    return {"reason": describe_reason(reason) or "", "cure": cure, "more": more}


def _delete_rule(details: Details) -> str:
    priority, _, selector = details["reason"].rule.removesuffix(" (IPv6)").partition(": ")
    return f"{_ip(details)} rule del priority {priority} {selector}"


def _prepare_filter(details: Details) -> Details:
    packet = details["packet"]
    return {
        "packets": describe_packet(packet, details["hook"]),
        "seen": describe_drop(details["dropped"]),
        "cure": cure_filter(packet, details["hook"], details["dropped"], details["front_end"]),
        "why": _DROPS[details["role"]],
    }


_DROPS: Final[Mapping[str, str]] = {
    "service": "no client reaches the service",
    "server": "no client of the service gets to this server",
    "answer": "what the server answers does not get to the client",
    "tunnel": "what other hosts send through the tunnel does not come in",
    "forwarding": "what comes in there for others goes nowhere, whatever the rule says",
    "check": "the question is never sent, so the check is down whatever its target does",
}


def _prepare_storage(details: Details) -> Details:
    return {"megabytes": details["free"] >> 20, "files": details["free_files"]}


def _prepare_clock(details: Details) -> Details:
    latest, number = _format_time(details["latest"]), details["number"]
    what = f"revision {number} was made" if number else "this routed was built"
    return {"now": _format_time(details["now"]), "seen": f"{what} {latest}"}


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _prepare_journal(details: Details) -> Details:
    setting, folder = details["setting"], "/etc/systemd/journald.conf.d"
    seen = "there is no /var/log/journal" if setting is None else _place(setting, "Storage", "auto")
    return {"seen": seen, "folder": folder}


def _prepare_unit(details: Details) -> Details:
    key, value = details["key"], details["value"]
    return {"name": f"routed-{key.lower()}.conf", "line": f"{key}={value}", "seen": f"systemctl show routed -p {key}"}


def _prepare_hidden(details: Details) -> Details:
    region, obstacle, detail = Region(details["region"]), Obstacle(details["obstacle"]), details["detail"]
    reason = {
        Obstacle.RIGHTS: "this user may not",
        Obstacle.TOOL: f"there is no {detail} here",
        Obstacle.ERROR: detail,
        Obstacle.MANY: f"there are too many, and the first {detail} were",
    }[obstacle]
    cures = {Obstacle.RIGHTS: "sudo routed doctor", Obstacle.TOOL: _INSTALLS.get(detail, "")}
    return {"region": _REGIONS[region], "reason": reason, "cure": cures.get(obstacle, "")}


_REGIONS: Final[Mapping[Region, str]] = {
    Region.STATE: "the state folder",
    Region.FIREWALL: "packet filters",
    Region.LEGACY_FIREWALL: "packet filters of iptables-legacy",
    Region.PROXIES: "for whom this host answers its neighbours",
    Region.NEIGHBOURS: "whether another host answers for an address",
    Region.UNIT: "what the service unit allows",
    Region.CAPABILITIES: "what the daemon may do",
    Region.PROFILES: "the connections of NetworkManager",
    Region.FILE: "a file of settings",
    Region.DAEMON: "what the daemon says of itself",
}
_INSTALLS: Final = {
    "nft": "apt-get install nftables",
    "ip": "apt-get install iproute2",
    "iptables-save": "apt-get install iptables",
    "iptables-legacy-save": "apt-get install iptables",
}

_RESTART: Final = "systemctl restart systemd-networkd"
_NETWORKD_CURE: Final = (
    "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\n{key}=no\\n'"
    " >>/etc/systemd/networkd.conf.d/{drop_in!q} && " + _RESTART
)

ADVICE: Final[Mapping[Ailment, Advice]] = {
    Ailment.SYSCTL: Advice("{told} is {value}", "{why}", "{command}", "{path}", _prepare_sysctl),
    Ailment.NETWORKD_ROUTES: Advice(
        "systemd-networkd removes routes that it does not know",
        "when it starts, is reloaded or configures a link, ours go for a moment",
        _NETWORKD_CURE,
        "{seen}",
        _prepare_networkd,
    ),
    Ailment.NETWORKD_RULES: Advice(
        "systemd-networkd removes rules that it does not know",
        "when it starts or is reloaded, ours go for a moment",
        _NETWORKD_CURE,
        "{seen}",
        _prepare_networkd,
    ),
    Ailment.NETWORKD_ADDRESSES: Advice(
        "systemd-networkd removes addresses that it does not know from {link}",
        "when it configures the link, ours go for a moment, and what stands on them",
        "mkdir -p {folder!q} && printf '[Network]\\nKeepConfiguration=static\\n' >{folder!q}/routed.conf && "
        "networkctl reload",
        "{seen}",
        _prepare_networkd_link,
    ),
    Ailment.MANAGER_ROUTES: Advice(
        "NetworkManager removes what it does not know from {link}",
        "when a connection there comes up or changes, ours go for a moment",
        "mkdir -p /etc/NetworkManager/conf.d && printf '[keyfile]\\nunmanaged-devices+=interface-name:%s\\n' {link!q}"
        " >>/etc/NetworkManager/conf.d/{drop_in!q} && nmcli general reload",
        "{how}",
    ),
    Ailment.MANAGER_TABLES: Advice(
        "NetworkManager cleans all tables for its connection {name}",
        "when it comes up or changes, routes of ours go for a moment, whatever their table is",
        "nmcli connection modify {name!q} {key} 0",
        "{seen}",
        _prepare_profile,
    ),
    Ailment.FOREIGN_ROUTES: Advice(
        "{count} of protocol {protocol} in table {table}, which the files fill",
        "more specific ones, or those of a lower metric, decide in place of ours",
        "{cure}",
        "{first}",
        _prepare_strangers,
    ),
    Ailment.FOREIGN_RULE: Advice(
        "a rule of others has the priority of ours, {priority}",
        "which of them comes first depends on which was made first",
        "{ip} rule del priority {priority} {selector}",
        "{rule}",
        _prepare_rule,
    ),
    Ailment.IPVS_RIVAL: Advice(
        "{comm} runs, and keeps services of IPVS as well",
        "such programs remove services that they do not know, or change the servers of ours",
        "{cure}",
        "pid {pid}{of}",
        lambda details: {
            "of": f", {details['unit']}" if details["unit"] else "",
            "cure": f"systemctl disable --now {quote(details['unit'])}"
            if details["unit"]
            else f"kill {details['pid']}",
        },
    ),
    Ailment.TAKEN_PROTOCOL: Advice(
        "protocol {number} is that of {name}",
        "where it runs, it takes our routes for its own, and routed takes those of it",
        "{cure}",
        "[daemon] protocol = {number}",
        _prepare_protocol,
    ),
    Ailment.FIREWALL: Advice("{packets} is dropped", "{why}", "{cure}", "{seen}", _prepare_filter),
    Ailment.TWICE_HERE: Advice(
        "{address} stands on {other} too",
        "the kernel takes it as its own on both, and may send from it by either",
        "ip address del {address}/{other_length} dev {other!q}",
        "{address}/{prefixlen} dev {link}, {address}/{other_length} dev {other}",
    ),
    Ailment.ELSEWHERE: Advice(
        "another host answers for {address} on {link}",
        "packets for it come to the one or to the other",
        "ip address del {address}/{prefixlen} dev DEV  # on the host with {mac}",
        "{mac} answers",
    ),
    Ailment.FAILED_DAD: Advice(
        "{address} on {link} failed duplicate address detection",
        "another host had it, and the kernel uses it for nothing",
        "ip -6 address del {address}/{prefixlen} dev {link!q}",
        "ip -6 address show dev {link} dadfailed",
    ),
    Ailment.NO_PROXY: Advice(
        "no neighbour on {link} hears that this host has {address}",
        "only who has a route to it gets here",
        "ip -6 neigh add proxy {address} dev {link!q}",
        "ip -6 neigh show proxy dev {link}",
    ),
    Ailment.UNUSED_TABLE: Advice(
        "no rule looks up table {table}", "no packet goes by its routes", "{cure}", "{seen}", _prepare_table
    ),
    Ailment.EMPTY_TABLE: Advice(
        "table {table} is empty, and the rule looks it up: {rule}",
        "the rule does nothing",
        "{cure}",
        "{seen}",
        _prepare_disabled,
    ),
    Ailment.DEAD_RULE: Advice(
        "the rule can never match: {rule}",
        "one in front of it has an answer for all of its packets",
        "{cure}",
        "{other}",
        _prepare_disabled,
    ),
    Ailment.SHADOWED: Advice(
        "{object} is shadowed{more}", "its packets do not go as the file says", "{cure}", "{reason}", _prepare_shadowed
    ),
    Ailment.KERNEL_RULES: Advice(
        "the kernel's own {family} rules are missing", "what they led to is not looked up", "{command}", "{missing}"
    ),
    Ailment.STATE_READ_ONLY: Advice(
        "{path} cannot be written",
        "what is in force is not known after a restart, and no change can be tried out",
        "mount -o remount,rw {mount!q}",
        "the file system at {mount} is read-only",
    ),
    Ailment.STATE_UNSAVED: Advice(
        "what is in force was not kept on disk",
        "a restart would put in force what was kept before",
        "routed apply",
        "{why}",
    ),
    Ailment.STATE_FULL: Advice(
        "the file system of {path} is nearly full",
        "the next revision may not be kept, so a restart would not know it",
        "journalctl --vacuum-size=100M",
        "{mount}: {megabytes} MiB and {files} files are left",
        _prepare_storage,
    ),
    Ailment.CLOCK_BEHIND: Advice(
        "the clock is wrong: it says {now}",
        "certificates count as not valid yet, and history tells things in another order",
        "timedatectl set-ntp true",
        "{seen}",
        _prepare_clock,
    ),
    Ailment.CLOCK_FREE: Advice(
        "nobody sets the clock",
        "the journals of hosts cannot be compared, and certificates expire too early or too late",
        "timedatectl set-ntp true",
        "the kernel counts it as not synchronised",
    ),
    Ailment.JOURNAL_VOLATILE: Advice(
        "the journal is lost at the next boot",
        "nobody can say then who changed what: routed history and blame have it from there",
        "mkdir -p {folder} /var/log/journal && printf '[Journal]\\nStorage=persistent\\n' >{folder}/{drop_in!q}"
        " && systemctl restart systemd-journald && journalctl --flush",
        "{seen}",
        _prepare_journal,
    ),
    Ailment.UNIT: Advice(
        "the service unit does not allow what the files need: {line}",
        "the daemon is refused it by the service manager, whatever its user is",
        "mkdir -p /etc/systemd/system/routed.service.d && printf '[Service]\\n{line}\\n'"
        " >/etc/systemd/system/routed.service.d/{name} && systemctl daemon-reload && systemctl restart routed",
        "{seen}",
        _prepare_unit,
    ),
    Ailment.CAPABILITY: Advice(
        "the daemon has no {name}",
        "the kernel refuses what takes it",
        "systemctl restart routed",
        "CapEff in /proc/{pid}/status",
    ),
    Ailment.NO_DAEMON: Advice(
        "the daemon does not run",
        "nothing is put right, and what only the daemon knows (checks, members, pauses) was not looked at",
        "systemctl start routed",
    ),
    Ailment.NOT_SEEN: Advice(
        "not looked at: {region}", "whether it is in order is not known", "{cure}", "{reason}", _prepare_hidden
    ),
}
