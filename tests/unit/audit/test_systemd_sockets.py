"""systemd's sockets without its library; a socket of the test is the other end. tests/system has a real journald."""

from __future__ import annotations

import fcntl
import importlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit import journal_sink, systemd_sockets
from routed.audit.notices import note_overrun

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=12)
VALUES = st.one_of(st.text(max_size=20), st.text("ab=\n", max_size=20))


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """journald's end of its socket."""
    monkeypatch.setattr(systemd_sockets, "JOURNAL", str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "socket"))
        end.settimeout(2)
        yield end


def receive(journald: socket.socket) -> tuple[bytes, str]:
    """An entry, and whether it came as a datagram or as a file."""
    with ExitStack() as stack:
        entry, descriptors, _flags, _sender = socket.recv_fds(journald, 1 << 20, 4)
        if not descriptors:
            return entry, "datagram"
        (descriptor,) = descriptors
        file = stack.enter_context(os.fdopen(descriptor, "rb"))
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
        assert entry == b""
        assert seals == fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        file.seek(0)
        return file.read(), "file"


def parse(entry: bytes) -> Iterator[tuple[str, str]]:
    """The fields of an entry, by the words of JOURNAL_NATIVE_PROTOCOL."""
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, is_text, value = line.partition(b"=")
        if not is_text:
            size = int.from_bytes(entry[:8], "little")
            value, end, entry = entry[8 : 8 + size], entry[8 + size : 9 + size], entry[9 + size :]
            assert end == b"\n"
        yield name.decode(), value.decode()


def test_a_value_with_a_line_break_goes_with_its_length_in_front(journald: socket.socket) -> None:
    systemd_sockets.sendv("MESSAGE=done", "ROUTED_REASON=a\nb=c")
    assert receive(journald) == (b"MESSAGE=done\nROUTED_REASON\n\x05\0\0\0\0\0\0\0a\nb=c\n", "datagram")


@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5))
def test_no_value_becomes_another_field(fields: list[tuple[str, str]]) -> None:
    ours, journalds = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, journalds, pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd_sockets, "_connect", lambda _path: ours)
        systemd_sockets.sendv(*(f"{name}={value}" for name, value in fields))
        assert list(parse(receive(journalds)[0])) == fields


def test_what_is_too_large_for_a_datagram_goes_as_a_sealed_file(journald: socket.socket) -> None:
    command = "x" * 1_000_000
    systemd_sockets.sendv("MESSAGE=done", f"ROUTED_ACTOR_CMDLINE={command}")
    entry, way = receive(journald)
    assert way == "file"
    assert list(parse(entry)) == [("MESSAGE", "done"), ("ROUTED_ACTOR_CMDLINE", command)]


def test_no_descriptor_is_left_open(journald: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list_descriptors()
    systemd_sockets.sendv("MESSAGE=done")
    systemd_sockets.sendv(f"MESSAGE={'x' * 1_000_000}")
    monkeypatch.setattr(systemd_sockets, "JOURNAL", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        systemd_sockets.sendv("MESSAGE=done")
    assert list_descriptors() == before


def list_descriptors() -> list[str]:
    return sorted(file.name for file in Path("/proc/self/fd").iterdir())


def test_a_record_reaches_the_journal_without_the_library(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_sink, "sendv", systemd_sockets.sendv)
    journal_sink.write_to_journal(note_overrun(3))
    fields = dict(parse(receive(journald)[0]))
    assert fields["MESSAGE"] == note_overrun(3).message
    assert fields["SYSLOG_IDENTIFIER"] == "routed"


def test_the_library_writes_where_it_is_installed_and_the_socket_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_writer(monkeypatch) == "systemd._journal"
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    assert find_writer(monkeypatch) == "routed.audit.systemd_sockets"


def find_writer(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delitem(sys.modules, "routed.audit.journal_sink")
    monkeypatch.setattr("routed.audit.journal_sink", None, raising=False)
    return str(importlib.import_module("routed.audit.journal_sink").__dict__["sendv"].__module__)


@pytest.mark.parametrize("path", ["", None])
def test_where_no_manager_waits_nothing_is_told(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if path is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not systemd_sockets.notify("READY=1")


def test_a_manager_may_have_an_abstract_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0routed-test-{os.getpid()}")
        manager.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@routed-test-{os.getpid()}")
        assert systemd_sockets.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_is_no_socket_of_this_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    with pytest.raises(OSError, match="no abstract name"):
        systemd_sockets.notify("READY=1")
