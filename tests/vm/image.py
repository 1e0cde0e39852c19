"""What the machine boots from: Debian 12 and its cloud kernel, made by mmdebstrap from the package sources here.

    python -m tests.vm.image PACKAGE

Makes what is missing, so that this package of routed can be installed inside. It is kept in the user's cache under a
name that is the hash of all that it is made from: a second run makes nothing. Only here is the network needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

RELEASE: Final = "bookworm"
PYTHON: Final = "3.11"  # of that release
PACKAGES: Final = (
    *("systemd-sysv", "dbus", "udev", "kmod", "linux-image-cloud-amd64"),
    *("iproute2", "ipvsadm", "keepalived", "netbase", "procps", "python3", "strace", "network-manager"),
)
DISABLED: Final = (
    "NetworkManager NetworkManager-wait-online keepalived e2scrub_reap systemd-pstore"  # a test starts what it needs
)
MASKED: Final = " ".join(  # what no test looks at: it makes an emulated boot a third longer
    (
        *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
        *("dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
        *(
            "sys-fs-fuse-connections.mount",
            "sys-kernel-config.mount",
            "systemd-binfmt.service",
            "systemd-logind.service",
        ),
        *("modprobe@configfs.service", "modprobe@drm.service", "modprobe@fuse.service", "modprobe@dm_mod.service"),
        *("modprobe@loop.service", "modprobe@efi_pstore.service", "getty.target", "user@.service", "ipvsadm.service"),
    )
)
TOOLS: Final = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")  # they run tests/kernel inside
SIZE: Final = "2G"  # of the disk, which is sparse
UNUSED: Final = 14 * 24 * 3600  # seconds after which what nobody used is thrown away

ROOT: Final = Path(__file__).with_name("root")  # files that are put over those of the packages
CONSTRAINTS: Final = Path(__file__).parents[2] / "constraints.txt"


NEEDED: Final = ("qemu-system-x86_64", "mkfs.ext4", "mmdebstrap")  # contrib/bootstrap vm installs them


class ImageError(Exception):
    """The image cannot be made. ``str`` says why and what to do."""


class NotHereError(ImageError):
    """This host is of a kind that can have no such machine."""


class Image(NamedTuple):
    """The files that QEMU boots from, and a directory of Python packages for the tests that run inside."""

    disk: Path
    kernel: Path
    initrd: Path
    tools: Path


def prepare(package: Path) -> Image:
    """The image in which this package can be installed, made now if need be. Raises ImageError."""
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        raise NotHereError(f"not here: {', '.join(missing)}; contrib/bootstrap vm installs them, as root")
    if platform.machine() != "x86_64":
        raise NotHereError(f"what is made for {platform.machine()} does not run on the emulated x86_64")
    packages = [*PACKAGES, *read_dependencies(package)]
    system = keep("system", [Path(__file__), *sorted(ROOT.rglob("*"))], packages, make_system)
    tools = keep("tools", [CONSTRAINTS], [PYTHON, *TOOLS], make_tools)
    return Image(system / "disk", system / "vmlinuz", system / "initrd.img", tools)


def read_dependencies(package: Path) -> list[str]:
    """The names of the packages that it depends on; of alternatives the first."""
    depends = run("dpkg-deb", "--field", str(package), "Depends")
    return [re.split(r"[\s:(|]", dependency.strip(), maxsplit=1)[0] for dependency in depends.split(",")]


# --- the cache --------------------------------------------------------------------------------------------------------


def keep(kind: str, files: list[Path], words: list[str], make: Callable[[Path, list[str]], None]) -> Path:
    """The directory that ``make`` makes of these files and words; made only when it is not in the cache."""
    content = hashlib.sha256(repr(words).encode())
    for file in files:
        if file.is_file():
            content.update(file.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "routed" / "vm"
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"{kind}-{content.hexdigest()[:16]}"
    with only_one(cache / "lock"):
        if not made.exists():
            throw_away_unused(cache)
            with TemporaryDirectory(dir=cache) as folder:
                work = Path(folder) / kind
                work.mkdir()
                make(work, words)
                work.rename(made)
        os.utime(made)
    return made


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is here."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def throw_away_unused(cache: Path) -> None:
    """Remove what nobody asked for in a long time, and what an interrupted run left."""
    for made in cache.iterdir():
        if made.is_dir() and made.stat().st_mtime < time.time() - UNUSED:
            shutil.rmtree(made)


# --- what is kept -----------------------------------------------------------------------------------------------------


def make_system(folder: Path, packages: list[str]) -> None:
    """Debian on a disk, its kernel and its initrd. Raises ImageError."""
    if os.geteuid():
        raise NotHereError("only root can make the image of the machine, once: run this as root")
    root = folder / "root"
    (folder / "sources").write_text("".join(find_sources()), encoding="utf-8")
    (folder / "options").write_text(read_apt_options(), encoding="utf-8")
    hooks = [
        f'cp -r --no-target-directory {ROOT} "$1"',
        f'chroot "$1" systemctl --quiet disable {DISABLED}',
        f'chroot "$1" systemctl --quiet mask {MASKED}',
        'chroot "$1" systemctl --quiet enable agent',
    ]
    # An initrd with no more than finds the disk is unpacked sooner.
    small_initrd = (
        'cd "$1" && mkdir -p etc/initramfs-tools/conf.d usr/share/initramfs-tools/modules.d',
        'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/small"',
        'printf "%s\\n" virtio_pci virtio_blk ext4 >"$1/usr/share/initramfs-tools/modules.d/small"',
    )
    options = [
        *("--quiet", "--mode=root", "--variant=minbase", "--format=directory"),
        *(f"--aptopt={folder}/options", '--aptopt=Apt::Install-Recommends "false"'),
        # Nobody reads there, and it is a third of the disk.
        *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
        f"--include={','.join(packages)}",
        *(f"--essential-hook={hook}" for hook in small_initrd),
        *(f"--customize-hook={hook}" for hook in hooks),
    ]
    run("mmdebstrap", *options, RELEASE, str(root), f"{folder}/sources")
    for file in ("vmlinuz", "initrd.img"):
        shutil.copy(root / file, folder)  # links to those of the one kernel there
    run("mkfs.ext4", "-q", "-d", str(root), str(folder / "disk"), SIZE)
    shutil.rmtree(root)


def find_sources() -> list[str]:
    """The package sources of this host that hold the release, one `deb` line each. Raises ImageError."""
    ask = ("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)")
    lines = run(*ask, "Created-By: Packages", "Origin: Debian").splitlines(keepends=True)
    found = [line for line in lines if line.split()[2].startswith(RELEASE)]
    if not found:
        raise ImageError(
            f"the package sources of this host hold no Debian {RELEASE}, or were never read: apt-get update"
        )
    return found


def read_apt_options() -> str:
    """How this host's apt reaches its sources: proxies, mirrors, certificates."""
    lines = run("apt-config", "dump").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("Acquire::") and "::IndexTargets" not in line)


def make_tools(folder: Path, words: list[str]) -> None:
    """What pytest needs, for the release's Python and not for the one that runs this."""
    python, *tools = words
    target = ("--target", str(folder), "--python-version", python, "--only-binary", ":all:")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, *target, "--constraint", str(CONSTRAINTS), *tools)


def run(*command: str) -> str:
    """The output of a command. Raises ImageError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ImageError(f"{command[0]} is not here: contrib/bootstrap vm installs it") from None
    if done.returncode:
        raise ImageError(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    try:
        prepare(Path(sys.argv[1]))
    except ImageError as error:
        sys.exit(f"tests.vm.image: {error}")
