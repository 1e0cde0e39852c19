"""A virtual machine: boot it, run commands in it, reboot it, pull its cables, cut its power.

QEMU emulates it without KVM, and nothing of it leaves this host: each of its network cards is on a wire of its own.
Commands go to `root/usr/local/lib/agent.py` over a virtio port. Here must never live: anything about routed.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.vm.image import Image

BOOT: Final = 180.0  # seconds; emulated, on a busy host. Only a failing test takes them
COMMAND: Final = 60.0
CARDS: Final = ("enp0s16", "enp0s17", "enp0s18")  # as udev names those in the slots 16 to 18 of the first PCI bus
MEMORY: Final = 1024  # MiB
# Without mitigations of what an emulated processor does not suffer from: they make a boot half as long again.
# no_timer_check: on a busy host an emulated timer may be late, and the kernel would take it for broken and panic.
KERNEL: Final = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=1 mitigations=off no_timer_check"


class Done(NamedTuple):
    """What a command printed, and its exit code; None when it took too long."""

    code: int | None
    out: str
    err: str


class MachineError(AssertionError):
    """The machine, or a command in it, did not do as it was told."""


class Machine:
    """One running QEMU. Its disk is forgotten at the end, and outlives every reboot before."""

    def __init__(self, image: Image, payload: Path, log: Path) -> None:
        self.log = log  # of the serial console
        self._agent, agent = socket.socketpair()
        self._control, control = socket.socketpair()
        # It dies with us, also when we are killed.
        command = ["setpriv", "--pdeathsig", "KILL", *_command(image, payload, log, agent.fileno(), control.fileno())]
        passed = (agent.fileno(), control.fileno())
        self._process = subprocess.Popen(command, pass_fds=passed, stdin=subprocess.DEVNULL)
        agent.close()
        control.close()
        self._unread = {self._agent: b"", self._control: b""}

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for connection in self._unread:
            connection.close()

    # --- commands -------------------------------------------------------------------------------------------------

    def run(self, command: str, *, given: str = "", within: float = COMMAND) -> Done:
        """Run a command of bash as root, ``given`` on its stdin; it is killed after so many seconds."""
        self._agent.sendall(json.dumps({"command": command, "given": given, "limit": within}).encode() + b"\n")
        return Done(**self._hear(self._agent, within + COMMAND))

    def do(self, command: str, *, given: str = "", within: float = COMMAND) -> str:
        """Run a command that must succeed, and return what it printed."""
        done = self.run(command, given=given, within=within)
        if done.code != 0:
            raise MachineError(f"{command}\nexit code {done.code}\n{done.out}{done.err}")
        return done.out

    def ask(self, command: str) -> list[dict[str, Any]]:
        """The answer of a command that prints JSON, without the empty items of `ip -j`."""
        return [item for item in json.loads(self.do(command) or "[]") if item]

    def wait_until(self, command: str, *, within: float = COMMAND) -> None:
        """Return as soon as the command succeeds."""
        done = self.run(f"until {{ {command}; }} >/dev/null 2>&1; do sleep 0.1; done", within=within)
        if done.code is None:
            raise MachineError(f"not within {within} s: {command}\n{self.run(command)}")

    def write(self, path: str, text: str) -> None:
        """Write a file, and the directory that it stands in."""
        self.do(f'mkdir -p "$(dirname {path})" && cat >{path}', given=text)

    # --- power ----------------------------------------------------------------------------------------------------

    def wait_until_booted(self) -> None:
        """Return when the agent has greeted and systemd has started all that it was going to."""
        self._hear(self._agent, BOOT)
        self.run("systemctl is-system-running --wait", within=BOOT)

    def reboot(self) -> None:
        """As an operator does it."""
        self.do("systemctl --no-block reboot")
        self.wait_until_booted()

    def cut_power(self) -> None:
        """No process is told, nothing is written to the disk; then it boots again."""
        self.control("system_reset")
        self.wait_until_booted()

    def plug(self, card: str, *, is_in: bool) -> None:
        """Put the cable into a network card, or pull it."""
        self.control("set_link", name=card, up=is_in)

    def control(self, command: str, **arguments: object) -> None:
        """Tell QEMU something, in the words of its QMP."""
        for name, about in ("qmp_capabilities", {}), (command, arguments):
            self._control.sendall(json.dumps({"execute": name, "arguments": about}).encode() + b"\n")
            answer: dict[str, object] = {}
            while not answer.keys() & {"return", "error"}:  # between them come a greeting and events
                answer = self._hear(self._control, COMMAND)
            if name == command and "error" in answer:
                raise MachineError(f"{command}: {answer['error']}")

    def _hear(self, connection: socket.socket, within: float) -> dict[str, Any]:
        """The next line of JSON that comes."""
        end = time.monotonic() + within
        while b"\n" not in self._unread[connection]:
            connection.settimeout(max(end - time.monotonic(), 0.001))
            try:
                came = connection.recv(1 << 16)
            except TimeoutError:
                raise MachineError(f"the machine said nothing for {within} s\n{self.tail()}") from None
            if not came:
                raise MachineError(f"the machine has ended\n{self.tail()}")
            self._unread[connection] += came
        line, _, self._unread[connection] = self._unread[connection].partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tail(self, lines: int = 60) -> str:
        """The end of what it printed on its serial console."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


@contextmanager
def running(image: Image, payload: Path, log: Path) -> Iterator[Machine]:
    """A machine that has booted; it is gone afterwards, whatever happens."""
    machine = Machine(image, payload, log)
    try:
        machine.wait_until_booted()
        yield machine
    finally:
        machine.close()


def _command(image: Image, payload: Path, log: Path, agent: int, control: int) -> list[str]:
    """How QEMU is called; ``agent`` and ``control`` are sockets that it inherits."""
    cards = [
        option
        for hub, card in enumerate(CARDS)
        for option in (
            *("-netdev", f"hubport,id={card}-wire,hubid={hub}"),
            *(
                "-device",
                f"virtio-net-pci,id={card},netdev={card}-wire,mac=52:54:00:00:00:{hub:02x},addr={16 + hub:#x}",
            ),
        )
    ]
    return [
        "qemu-system-x86_64",
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", str(MEMORY)),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", KERNEL),
        *("-drive", f"file={image.disk},format=raw,snapshot=on,if=virtio"),
        *("-drive", f"file={payload},format=raw,read-only=on,if=virtio"),
        *("-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=console,path={log}", "-serial", "chardev:console"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent}"),
        *("-device", "virtserialport,chardev=agent,name=agent"),
        *("-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"),
        *cards,
    ]
