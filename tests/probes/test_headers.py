"""Headers that are secret: they are sent, they come from a file of root alone, and nobody is told what they are."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path as File

import pytest

from routed.probes.headers import MOST
from routed.secrets import CREDENTIALS
from tests.probes import servers
from tests.probes.servers import Authority, Serve, encrypted, http, say, serving
from tests.probes.test_probes import authority, found  # noqa: F401  a fixture

SECRET = "Bearer hunter2"  # noqa: S105  a word to look for
LINE = f"Authorization: {SECRET}\n"


@pytest.fixture
def file(tmp_path: File) -> Iterator[File]:
    file = tmp_path / "headers"
    file.touch(mode=0o600)
    return file  # type: ignore[return-value]


def only_with(secret: str, heads: list[bytes]) -> Serve:
    """401 for whoever does not say it."""

    def serve(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        is_good = f"authorization: {secret}\r\n".encode().lower() in heads[-1].lower()
        connection.sendall(http("200 OK" if is_good else "401 Unauthorized"))

    return serve


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_headers_of_the_file_are_sent_and_a_file_that_was_renewed_counts_at_once(file: File, address: str) -> None:
    heads: list[bytes] = []
    with serving(only_with(SECRET, heads), address) as port:
        assert found("http", port, address)[0] == "STATUS"
        file.write_text(f"# of the team\n\n{LINE}X-Probe:\troutéd \r\nUser-Agent: other\n")
        assert found("http", port, address, headers_file=str(file))[0] == "GOOD"
        assert "X-Probe: routéd\r\n".encode() in heads[-1]
        assert heads[-1].lower().count(b"user-agent:") == heads[-1].count(b"other") == 1
        file.write_text("Authorization: Bearer another\n")
        assert found("http", port, address, headers_file=str(file)) == ("STATUS", "http: status 401")


def test_they_go_over_tls_as_well(file: File, authority: Authority) -> None:  # noqa: F811
    file.write_text(LINE)
    with serving(encrypted(authority.issue("secret.example.org"), only_with(SECRET, []))) as port:
        ca = str(authority.certificate)
        found_ = found("https", port, headers_file=str(file), host="secret.example.org", verify=True, ca=ca)
        assert found_[0] == "GOOD"


def test_a_name_is_that_of_a_credential_of_the_unit(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(LINE)
    with serving(only_with(SECRET, [])) as port:
        monkeypatch.delenv(CREDENTIALS, raising=False)
        finding, words = found("http", port, headers_file="headers")
        assert finding == "NO_HEADERS"
        assert "routed.service needs LoadCredential=headers:PATH" in words
        monkeypatch.setenv(CREDENTIALS, str(file.parent))
        assert found("http", port, headers_file="headers")[0] == "GOOD"
        finding, words = found("http", port, headers_file="other")
        assert finding == "NO_HEADERS"
        assert "LoadCredential=other:PATH" in words


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o644, "others than root may read"),
        (0o604, "others than root may read"),
        (0o622, "may write"),
        (0o666, "may write"),
    ],
)
def test_a_file_that_others_may_read_or_write_is_not_sent_and_the_cure_is_said(
    file: File, mode: int, said: str
) -> None:
    file.write_text(LINE)
    file.chmod(mode)
    asked: list[bytes] = []
    with serving(only_with(SECRET, asked)) as port:
        finding, words = found("http", port, headers_file=str(file))
    assert finding == "NO_HEADERS"
    assert said in words
    assert "chmod 600" in words
    assert asked == []


def test_a_group_of_others_may_not_read_it_and_that_of_root_may(file: File) -> None:
    file.write_text(LINE)
    file.chmod(0o640)
    with serving(only_with(SECRET, [])) as port:
        assert found("http", port, headers_file=str(file))[0] == "GOOD"
        os.chown(file, 0, 12345)
        assert "others than root may read" in found("http", port, headers_file=str(file))[1]


def test_a_folder_that_somebody_else_may_write_lets_nobody_name_another_file_there(file: File) -> None:
    file.write_text(LINE)
    folder = file.parent / "theirs"
    folder.mkdir()
    (folder / "link").symlink_to(file)
    with serving(only_with(SECRET, [])) as port:
        assert found("http", port, headers_file=str(folder / "link"))[0] == "GOOD"
        os.chown(folder / "link", 65534, 65534, follow_symlinks=False)
        assert f"may write {folder}/link" in found("http", port, headers_file=str(folder / "link"))[1]
        (folder / "link").unlink()
        os.chown(folder, 65534, 65534)
        (folder / "link").symlink_to(file)
        assert f"may write {folder}:" in found("http", port, headers_file=str(folder / "link"))[1]


def test_somebody_else_may_not_read_it_by_an_acl_either(file: File) -> None:
    file.write_text(LINE)
    # posix_acl_xattr.h: the owner, the user 65534 and the mask may read
    entries = ((1, 6, 0xFFFFFFFF), (2, 4, 65534), (4, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(file, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    with serving(only_with(SECRET, [])) as port:
        assert "others than root may read" in found("http", port, headers_file=str(file))[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Authorization Bearer hunter2\n", "line 1"),
        (b"A: b\nAuthorization:\n", "line 2"),
        (b"A: hunter2\rHost: evil.example.org\n", "line 1"),
        (b"A: hunter2\0\n", "line 1"),
        (b"A b: hunter2\n", "line 1"),
        (b" continued hunter2\n", "line 1"),
        (b": hunter2\n", "line 1"),
        (b"\nHost: hunter2\n", "line 2"),
        (b"content-LENGTH: 5\n", "line 1"),
        (b"A: " + b"x" * MOST + b"hunter2", "is longer than"),
    ],
)
def test_what_is_no_header_is_refused_by_its_line_and_not_repeated(file: File, content: bytes, said: str) -> None:
    file.write_bytes(content)
    asked: list[bytes] = []
    with serving(only_with(SECRET, asked)) as port:
        finding, words = found("http", port, headers_file=str(file))
    assert finding == "NO_HEADERS"
    assert said in words
    assert str(file) in words
    assert "hunter2" not in words
    assert asked == []


def test_a_file_that_is_missing_or_a_folder_is_our_own_lack(file: File) -> None:
    with serving(servers.hang) as port:
        for path in (file.with_name("none"), file.parent):
            finding, words = found("http", port, headers_file=str(path))
            assert finding == "NO_HEADERS"
            assert "chmod 600" in words


def test_a_server_that_repeats_what_it_was_asked_does_not_bring_it_into_a_status(file: File) -> None:
    file.write_text(LINE)

    def repeat(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + connection.recv(65536).replace(b": ", b" "))

    for serve in (repeat, say(f"{SECRET}\r\n\r\n".encode())):
        with serving(serve) as port:
            finding, words = found("http", port, headers_file=str(file))
        assert finding == "MALFORMED"
        assert "hunter2" not in words
