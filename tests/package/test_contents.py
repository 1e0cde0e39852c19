"""What is in the package, and what is not."""

from __future__ import annotations

import os
import platform
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

import routed
from tests.package.conftest import PROJECT

LIBRARY = "usr/lib/routed"
# In two parts, so that no file of ours holds them whole.
REGISTRIES = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("crates", "io"))]
FILES = (
    "etc/iproute2/rt_protos.d/routed.conf",
    "etc/routed.toml",
    "lib/systemd/system/routed-exec.service",
    "lib/systemd/system/routed-exec.socket",
    "lib/systemd/system/routed.service",
    "usr/bin/routed",
    "usr/lib/systemd/catalog/routed.catalog",
    "usr/libexec/routed-exec",
    "usr/share/bash-completion/completions/routed",
    "usr/share/doc/routed/CHANGELOG.md",
    "usr/share/doc/routed/copyright",
    "usr/share/doc/routed/examples/demo.toml",
    "usr/share/doc/routed/how-to/run-beside-others.md",
    "usr/share/fish/vendor_completions.d/routed.fish",
    "usr/share/iproute2/rt_addrprotos.d/routed.conf",
    "usr/share/man/man5/routed.toml.5.gz",
    "usr/share/man/man7/routed-messages.7.gz",
    "usr/share/man/man8/routed.8.gz",
    "usr/share/routed/drop-ins/networkd.conf",
    "usr/share/routed/routed.schema.json",
    "usr/share/zsh/vendor-completions/_routed",
)


@pytest.fixture(scope="module")
def control(package: Path) -> dict[str, str]:
    """The fields of its control file."""
    done = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True)
    return dict(Parser().parsestr(done.stdout).items())


def walk(files: Path) -> Iterator[Path]:
    """Every file and directory, but what is for dpkg."""
    for folder, directories, names in os.walk(files):
        if Path(folder) == files:
            directories.remove("DEBIAN")
        yield from (Path(folder) / name for name in (*directories, *names))


def test_its_version_is_that_of_the_program_in_an_epoch_of_its_own(control: dict[str, str]) -> None:
    release = platform.freedesktop_os_release()["VERSION_ID"]
    assert control["Version"] == f"1:{routed.__version__}~deb{release}u1"


def test_it_needs_debians_python_and_brings_the_libraries(control: dict[str, str]) -> None:
    depends = {re.split(r"[ :]", one.strip())[0] for one in control["Depends"].split(",")}
    assert {"libc6", "libsystemd0", "python3"} <= depends
    assert not [one for one in depends if one.startswith("python3-")]


def test_the_rip_daemon_of_the_same_name_gives_way(control: dict[str, str]) -> None:
    assert control["Conflicts"] == "routed (<< 1:0)"
    for historical in ("0.17-13", "0.17-14"):
        newer = ["dpkg", "--compare-versions", control["Version"], "gt", historical]
        assert subprocess.run(newer, check=False).returncode == 0


def test_lintian_has_no_error(package: Path) -> None:
    command = ["lintian", "--allow-root", "--fail-on=error", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_everything_is_there(files: Path) -> None:
    assert [name for name in FILES if not (files / name).is_file()] == []


def test_what_an_operator_may_edit_is_kept_on_upgrade(files: Path) -> None:
    assert (files / "DEBIAN/conffiles").read_text().split() == [
        "/etc/iproute2/rt_protos.d/routed.conf",
        "/etc/routed.toml",
    ]


def test_all_is_roots_and_nobody_elses_to_write(package: Path) -> None:
    done = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root"
        assert mode[0] == "l" or re.fullmatch(r"drwxr-xr-x|-rwxr-xr-x|-rw-r--r--", mode), line


def test_nothing_runs_with_more_rights_than_its_caller(files: Path) -> None:
    assert [path for path in walk(files) if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []


def test_nothing_is_left_of_building_and_testing(files: Path) -> None:
    names = {path.name for path in walk(files)}
    assert not names & {"__pycache__", "pip", "setuptools", "tests", "pyvenv.cfg", "direct_url.json", "RECORD"}
    for path in walk(files):
        assert not path.is_file() or str(PROJECT).encode() not in path.read_bytes(), path


def test_no_file_of_ours_and_no_record_of_the_installer_names_a_registry(files: Path) -> None:
    def is_a_librarys(path: Path) -> bool:
        inside = path.relative_to(files).parts[3:4] if path.is_relative_to(files / LIBRARY) else ()
        return bool(inside) and inside[0] != "routed" and not inside[0].endswith(".dist-info")

    for path in [*walk(files), *(files / "DEBIAN").iterdir()]:
        if path.is_file() and not is_a_librarys(path):
            assert not [host for host in REGISTRIES if host.encode() in path.read_bytes()], path


def test_the_bundled_libraries_are_the_pinned_ones_and_their_licences_are_told(files: Path) -> None:
    pinned = dict(line.split("==") for line in (PROJECT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {normalise(name): version for name, version in pinned.items()}
    copyright_ = (files / "usr/share/doc/routed/copyright").read_text()
    bundled = {}
    for info in (files / LIBRARY).glob("*.dist-info"):
        fields = Parser().parsestr((info / "METADATA").read_text())
        bundled[normalise(fields["Name"])] = fields["Version"]
    assert bundled.pop("routed") == routed.__version__
    assert {name: pinned.get(name) for name in bundled} == bundled
    modules = {path.name for path in (files / LIBRARY).iterdir() if not path.name.endswith(".dist-info")}
    told = set(re.findall(r"^Files: ([^/\n]+)", copyright_, re.MULTILINE))
    assert modules - {"routed"} == told - {"*"}


def normalise(name: str) -> str:
    """A distribution's name, however it is written (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_compiled_libraries_look_for_others_only_where_debian_has_them(files: Path) -> None:
    for library in (files / LIBRARY).rglob("*.so"):
        done = subprocess.run(["objdump", "-p", str(library)], capture_output=True, text=True, check=True)
        assert not re.search("R(UN)?PATH", done.stdout), library


def test_the_file_that_it_brings_says_nothing_and_is_valid(files: Path) -> None:
    text = (files / "etc/routed.toml").read_text()
    assert tomllib.loads(text) == {"version": 1}
    schema = re.match("#:schema (.*)", text)
    assert schema is not None
    assert (files / schema[1].lstrip("/")).is_file()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completions_are_those_of_the_program(files: Path, shell: str) -> None:
    folder = {"bash": "bash-completion/completions/routed", "zsh": "zsh/vendor-completions/_routed"}
    script = files / "usr/share" / folder.get(shell, "fish/vendor_completions.d/routed.fish")
    done = subprocess.run(
        [PROJECT / ".venv/bin/routed", "completion", shell], capture_output=True, text=True, check=True
    )
    assert script.read_text() == done.stdout
