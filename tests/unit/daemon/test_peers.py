from __future__ import annotations

import socket
from pathlib import Path

import pytest

from routed.daemon.peers import find_ssh_ports, find_ssh_sessions
from routed.model.net import parse_address


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", {22}),
        ("# Port 2222\n", {22}),
        ("Port 2222\n", {2222}),
        ("  port = 2222 # the other door\n", {2222}),
        ('Port "2222"\n', {2222}),
        ("Port 22\nPort 2222\n", {22, 2222}),
        ("ListenAddress 192.0.2.1:2222\n", {2222}),
        ("ListenAddress 192.0.2.1\n", {22}),
        ("ListenAddress [2001:db8::1]:2222\n", {2222}),
        ("ListenAddress 2001:db8::1\n", {22}),
        ("ListenAddress example.net:2222 rdomain red\n", {2222}),
        ("Port many\nPortability 7\n", {22}),
        ("Include nothing/*.conf\n", {22}),
        ("Include sshd_config\nPort 7\n", {7}),
        ("\x00\xff", {22}),
    ],
)
def test_the_ports_are_those_of_sshd_config(tmp_path: Path, text: str, ports: set[int]) -> None:
    config = tmp_path / "sshd_config"
    config.write_text(text)
    assert find_ssh_ports(config) == ports


def test_included_files_count_relative_absolute_and_nested(tmp_path: Path) -> None:
    folder = tmp_path / "sshd_config.d"
    folder.mkdir()
    (folder / "a.conf").write_text(f"Port 1001\nInclude {tmp_path}/far.conf\n")
    (folder / "b.conf").write_text("Port 1002\n")
    (tmp_path / "far.conf").write_text("Port 1003\n")
    (tmp_path / "sshd_config").write_text("Include sshd_config.d/*.conf\n")
    assert find_ssh_ports(tmp_path / "sshd_config") == {1001, 1002, 1003}


def test_without_a_configuration_and_without_tables_there_is_nobody(tmp_path: Path) -> None:
    assert find_ssh_sessions(tmp_path / "none", tmp_path / "none").peers == frozenset()


def test_damaged_tables_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_bytes(b"header\n 0: xx:yy zz 01\n 1: 0100007F:0016 0100007F:1234 01\n 2:\n\xff\n")
    assert find_ssh_sessions(tmp_path / "none", tmp_path).peers == {parse_address("127.0.0.1")}


@pytest.mark.parametrize(
    ("family", "listen", "connect", "seen"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1", "127.0.0.1"),  # what the kernel shows as ::ffff:127.0.0.1
    ],
)
def test_the_peer_of_a_real_session_is_found_and_only_while_it_lasts(
    tmp_path: Path, family: int, listen: str, connect: str, seen: str
) -> None:
    config = tmp_path / "sshd_config"
    with socket.socket(family) as sshd:
        try:
            sshd.bind((listen, 0))
        except OSError:
            pytest.skip("this address is not on the loopback interface here")
        sshd.listen()
        port = sshd.getsockname()[1]
        config.write_text(f"Port {port}\n")
        assert find_ssh_sessions(config).peers == frozenset()
        try:
            client = socket.create_connection((connect, port), timeout=2)
        except OSError:
            pytest.skip("the loopback interface is down in this namespace")
        with client, sshd.accept()[0]:
            assert find_ssh_sessions(config).peers == {parse_address(seen)}
            config.write_text("Port 1\n")
            assert find_ssh_sessions(config).peers == frozenset()
