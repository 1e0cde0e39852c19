"""Services and servers in the words of ``ipvsadm``, and what it says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Final

from routed.model.ipvs import (
    CHECKSUM,
    DIRECT,
    GRE,
    GUE,
    IPIP,
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_1,
    SCHEDULER_2,
    SCHEDULER_3,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceValue,
)
from routed.model.net import IPV4, IPV6, format_address

NO_IPVS: Final = "no IPVS, ipvsadm or right here: these run in the virtual machine, make test-vm"

Services = Mapping[ServerSlot, ServiceValue]
Servers = Mapping[tuple[ServerSlot, ServerMember], ServerValue]

_IPPROTOS: Final = {TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}
_FORWARDS: Final = {MASQ: "-m", DIRECT: "-g", TUNNEL: "-i"}
_TUNNELS: Final = {IPIP: "ipip", GUE: "gue", GRE: "gre"}
_CHECKSUMS: Final = {0: "--tun-nocsum", CHECKSUM: "--tun-csum", REMOTE_CHECKSUM: "--tun-remcsum"}
_FLAGS: Final = {SCHEDULER_1: "flag-1", SCHEDULER_2: "flag-2", SCHEDULER_3: "flag-3"}
_NAMED_FLAGS: Final = {SCHEDULER_1: "fallback", SCHEDULER_2: "port"}  # of sh and mh


def ipvsadm(*words: str, given: str = "") -> str:
    """Run it; its errors are the test's."""
    done = subprocess.run(["ipvsadm", *words], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ipvsadm {words}: {done.stderr}{given}"
    return done.stdout


def restore(lines: Iterable[str]) -> None:
    """Have it write all of these."""
    ipvsadm("-R", given="".join(f"{line}\n" for line in lines))


def saved() -> set[frozenset[tuple[str, str]]]:
    """What ``ipvsadm -Sn`` prints: the options of each line, with their values."""
    return {options(line) for line in ipvsadm("-Sn").splitlines()}


def thresholds() -> set[tuple[str, int, int]]:
    """What ``ipvsadm -Ln --thresholds`` prints of servers: (address and port, upper, lower)."""
    rows = [line.split() for line in ipvsadm("-Ln", "--thresholds").splitlines()[3:]]
    return {(words[1], int(words[2]), int(words[3])) for words in rows if words[0] == "->"}


def options(line: str) -> frozenset[tuple[str, str]]:
    """The options in a line, in no order."""
    found: list[tuple[str, str]] = []
    for word in line.split():
        if word.startswith("-"):
            found.append((word, ""))
        else:
            found[-1] = (found[-1][0], word)
    return frozenset(found)


def key_words(slot: ServerSlot) -> str:
    """How a service is named."""
    service = slot.service
    if service.fwmark:
        return f"-f {service.fwmark}{' -6' * (slot.family == IPV6)}"
    return f"{_IPPROTOS[service.ipproto]} {endpoint(service.address, service.port)}"


def endpoint(address: bytes, port: int) -> str:
    """An address and a port, which may be 0."""
    name = format_address(address)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def service_line(slot: ServerSlot, value: ServiceValue) -> str:
    """The line that makes a service, as ``ipvsadm -Sn`` prints it."""
    words = [f"-A {key_words(slot)} -s {value.scheduler}"]
    if value.flags & PERSISTENT:
        words.append(f"-p {value.timeout}")
        if slot.family == IPV4 and value.prefixlen != 32:
            words.append(f"-M {IPv4Network((0, value.prefixlen)).netmask}")
        if slot.family == IPV6 and value.prefixlen != 128:
            words.append(f"-M {value.prefixlen}")
    names = {bit: f"{value.scheduler}-{name}" for bit, name in _NAMED_FLAGS.items()}
    if value.scheduler not in {"sh", "mh"}:
        names = _FLAGS
    if flags := [name for bit, name in names.items() if value.flags & bit]:
        words.append(f"-b {','.join(flags)}")
    if value.engine:
        words.append(f"--pe {value.engine}")
    if value.flags & ONE_PACKET:
        words.append("-o")
    return " ".join(words)


def server_line(slot: ServerSlot, member: ServerMember, value: ServerValue) -> str:
    """The line that makes a server, as ``ipvsadm -Sn`` prints it."""
    at = endpoint(member.address, member.port)
    words = [f"-a {key_words(slot)} -r {at} {_FORWARDS[value.forward]} -w {value.weight}"]
    if value.forward == TUNNEL:
        words.append(f"--tun-type {_TUNNELS[value.tunnel]}")
        if value.tunnel == GUE:
            words.append(f"--tun-port {value.tunnel_port}")
        if value.tunnel != IPIP:
            words.append(_CHECKSUMS[value.tunnel_flags])
    return " ".join(words)


def threshold_words(value: ServerValue) -> str:
    """What makes its thresholds, which ``ipvsadm -Sn`` does not print."""
    return f" -x {value.upper} -y {value.lower}" if value.upper or value.lower else ""
