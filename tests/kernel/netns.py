"""Network namespaces for the calling thread, `ip -j` inside them, and waiting for a condition."""

import ctypes
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SLOWNESS = float(os.environ.get("ROUTED_TEST_SLOWNESS", "1"))  # how many times as long as elsewhere all takes here

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network() -> Iterator[None]:
    """Move the calling thread into a fresh network namespace with `lo` up, and back afterwards."""
    with new_namespace() as namespace, inside(namespace):
        yield


@contextmanager
def new_namespace() -> Iterator[Path]:
    """A network namespace with `lo` up that lasts to the end of the block: a path that `ip link set … netns` takes."""
    home = _open_own()
    try:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            made = _open_own()
            ip("link set lo up")
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{made}")
    finally:
        os.close(made)


@contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Move the calling thread into a network namespace, and back afterwards; what it starts meanwhile stays there."""
    home = _open_own()
    try:
        _enter(namespace)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def enter(namespace: int) -> None:
    """Move the calling thread into the network namespace of this descriptor."""
    _check(_libc.setns(namespace, _CLONE_NEWNET))


def veth(name: str = "v0", *addresses: str, peer: str = "") -> int:
    """Make a veth pair, both ends up with carrier; return the ifindex of the first. Its IPv6 addresses skip DAD."""
    peer = peer or f"{name}p"
    ip(f"link add {name} type veth peer name {peer}")
    for end in (name, peer):
        Path(f"/proc/sys/net/ipv6/conf/{end}/accept_dad").write_text("0")
    lines = [f"link set {end} up" for end in (name, peer)]
    lines += [f"addr add {address} dev {name}" + (" nodad" if ":" in address else "") for address in addresses]
    ip_batch("\n".join(lines))
    return index_of(name)


def wait_until_quiet(links: int) -> None:
    """Wait until the kernel has given so many links their own IPv6 addresses: after the carrier, and the route last."""

    def is_quiet() -> bool:
        local = ip_json("-6 route show table local type local")
        return len([route for route in local if route["dst"].startswith("fe80:")]) == links

    wait_until(is_quiet)


def wait_until_usable() -> None:
    """Wait until every IPv6 address here is: the kernel makes it so later, with nodad as well (addrconf_dad_work)."""
    wait_until(lambda: not ip("-6 address show tentative"))


def index_of(name: str) -> int:
    """The ifindex of a link."""
    return int(ip_json(f"link show {name}")[0]["ifindex"])


def ip(command: str) -> str:
    """Run `ip`; its errors are the test's."""
    done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {command}: {done.stderr}"
    return done.stdout


def ip_batch(commands: str, *options: str, is_forced: bool = False) -> None:
    """Run many `ip` commands in one process; forced, what fails is skipped."""
    command = ["ip", *options, *(["-force"] if is_forced else []), "-batch", "-"]
    subprocess.run(command, input=commands, text=True, check=not is_forced, capture_output=True)


def ip_json(command: str) -> list[dict[str, Any]]:
    """Run `ip -j -d` and return its answer; an absent table is an empty one."""
    done = subprocess.run(["ip", "-j", "-d", "-N", *command.split()], capture_output=True, text=True, check=False)
    if done.returncode and "does not exist" in done.stderr:
        return []
    assert done.returncode == 0, f"ip {command}: {done.stderr}"
    return [_spread_encap(item) for item in json.loads(done.stdout or "[]") if item]


def _spread_encap(thing: dict[str, Any]) -> dict[str, Any]:
    """A route or a hop as iproute2 before 6.15 tells it, where what an encapsulation says stands among the rest."""
    told = thing.get("encap")
    if isinstance(told, dict):
        thing = {key: item for key, item in thing.items() if key != "encap"}
        thing = {
            "encap": told["encap_type"],
            **{key: item for key, item in told.items() if key != "encap_type"},
        } | thing
    if "nexthops" in thing:
        thing["nexthops"] = [_spread_encap(hop) for hop in thing["nexthops"]]
    return thing


def wait_until(is_so: Callable[[], bool], within: float = 5.0) -> None:
    """Return soon after the condition holds; fail the test when it does not hold in time (seconds).

    To ask costs the processor that whoever is waited for needs as well, so it is asked more and more seldom.
    """
    end, pause = time.monotonic() + within * SLOWNESS, 0.002
    while not is_so():
        assert time.monotonic() < end, f"{is_so} did not become true within {within} s"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def _open_own() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: Path) -> None:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWNET))
    finally:
        os.close(descriptor)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def has_module(name: str) -> bool:
    """Is this module of the kernel there? One that can be loaded is, once it was asked for."""
    return Path("/sys/module", name).is_dir()
