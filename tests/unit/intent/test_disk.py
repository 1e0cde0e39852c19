"""What is read, and how: nothing holds a reader up, nothing fills it up, and half a file is known as such."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from routed.intent import disk, gather
from routed.intent.disk import MEGABYTE, BeingWrittenError, read_closed, read_for_command
from routed.intent.load import load, read_sources
from routed.intent.problems import IntentError
from tests.unit.intent.intent_help import HEAD

READERS = [read_for_command, read_closed]
Reader = Callable[[Path, str], bytes]


@pytest.fixture(autouse=True)
def _no_sigio() -> Iterator[None]:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("role", ["main", "drop-in", "prefixes", "names"])
def test_a_regular_file_is_read_whole(tmp_path: Path, read: Reader, role: str) -> None:
    content = os.urandom(3 * MEGABYTE + 1)
    (tmp_path / "file").write_bytes(content)
    assert read(tmp_path / "file", role) == content


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_not_even_opened(read: Reader, path: str) -> None:
    with pytest.raises(OSError, match="is not a regular file"):
        read(Path(path), "main")


def test_a_pipe_is_waited_for_where_a_command_names_it_as_the_main_file_and_nowhere_else(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for read, role in [(read_closed, "main"), (read_closed, "prefixes"), (read_for_command, "drop-in")]:
        with pytest.raises(OSError, match="is not a regular file"):
            read(pipe, role)
    writer = Thread(target=pipe.write_bytes, args=(b"version = 1\n",))
    writer.start()
    assert read_for_command(pipe, "main") == b"version = 1\n"
    writer.join()


@pytest.mark.parametrize("read", READERS)
def test_a_file_without_end_ends_all_the_same(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as /proc/kmsg: regular by its mode, and of no size."""
    file = Path("/proc/self/stat")  # regular and of no size, too
    monkeypatch.setattr(os, "read", lambda _, most: bytes(most))
    with pytest.raises(OSError, match="is larger than 16 MB: lists of prefixes belong into a prefixes_file"):
        read(file, "main")


@pytest.mark.parametrize(("role", "megabytes"), [("main", 16), ("drop-in", 16), ("names", 16), ("prefixes", 256)])
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, role: str, megabytes: int) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 200_000 * MEGABYTE)
    with pytest.raises(OSError, match=f"is larger than {megabytes} MB"):
        read_closed(file, role)


def test_a_file_that_somebody_writes_is_not_read_before_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "list"
    with file.open("w") as writer:
        writer.write("192.0.2.1\n")
        writer.flush()
        with pytest.raises(BeingWrittenError):
            read_closed(file, "prefixes")
        assert read_for_command(file, "prefixes") == b"192.0.2.1\n"
    assert read_closed(file, "prefixes") == b"192.0.2.1\n"
    with file.open() as reader:
        assert read_closed(file, "prefixes") == reader.read().encode()


def test_where_it_cannot_be_known_whether_somebody_writes_the_file_is_read_as_it_is() -> None:
    assert read_closed(Path("/proc/version"), "names").startswith(b"Linux")  # a filesystem without leases


@pytest.mark.parametrize(("filesystem", "is_known"), [("nfs4", False), ("cifs", False), ("ext4", True)])
def test_where_a_server_knows_who_writes_a_refused_lease_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filesystem: str, is_known: bool
) -> None:
    file, mounts = tmp_path / "list", tmp_path / "mountinfo"
    device = tmp_path.stat().st_dev
    mounts.write_text(
        "22 28 0:4 / /proc rw shared:13 - proc proc rw\n"
        f"36 28 {os.major(device)}:{os.minor(device)} / /etc rw,relatime shared:1 - {filesystem} host:/etc rw\n"
    )
    monkeypatch.setattr(disk.is_of_server, "__defaults__", (mounts,))
    with file.open("w") as writer:
        writer.write("half")
        writer.flush()
        if is_known:
            with pytest.raises(BeingWrittenError):
                read_closed(file, "prefixes")
        else:
            assert read_closed(file, "prefixes") == b"half"


def write_main(folder: Path, text: str) -> Path:
    main = folder / "etc/routed.toml"
    main.parent.mkdir()
    main.write_text(HEAD + text)
    return main


def test_a_folder_of_names_that_cannot_be_searched_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> list[Path]:
        raise OSError(24, "Too many open files", "/etc/iproute2/rt_tables.d")

    main = write_main(tmp_path, "")
    monkeypatch.setattr(gather, "find_name_files", fail)
    for reader in (load, read_sources):
        with pytest.raises(IntentError, match=r"^/etc/iproute2/rt_tables.d: too many open files$"):
            reader(main, root=tmp_path)


@pytest.mark.parametrize("path", ["etc/routed.toml.d/50-large.toml", "etc/list.txt"])
def test_a_file_that_is_too_large_is_a_problem_with_its_place(tmp_path: Path, path: str) -> None:
    main = write_main(tmp_path, '[[route]]\nname = "a"\nprefixes_file = "list.txt"\ntype = "blackhole"\n')
    (tmp_path / "etc/routed.toml.d").mkdir()
    for file in ("etc/list.txt", path):
        (tmp_path / file).touch()
    os.truncate(tmp_path / path, 300 * MEGABYTE)
    with pytest.raises(IntentError) as caught:
        load(main, root=tmp_path)
    (problem,) = caught.value.problems
    assert str(tmp_path / path) in str(problem)
    assert "is larger than" in problem.message


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_closed(tmp_path, "main")
