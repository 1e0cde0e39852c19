"""Secret headers of a check: they open the door, and stand nowhere that anybody reads."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from routed.secrets import CREDENTIALS
from tests.kernel.netns import wait_until
from tests.probes.servers import http, serving
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.test_checks import TO, a_check, a_route, shared_folder  # noqa: F401  a fixture

SECRET = "hunter2"  # noqa: S105  a word to look for


def serve(connection: socket.socket) -> None:
    """200 for whoever knows the word; to the others the word is told, as a bad server might."""
    is_known = SECRET.encode() in connection.recv(65536)
    connection.sendall(http("200 OK" if is_known else f"401 {SECRET}", body=SECRET.encode()))


def everything_said(daemon: Daemon) -> str:
    commands = (("status", "-v"), ("status", "check/web"), ("--json", "status"), ("--json", "plan"), ("check",))
    answers = [daemon.ask(*words) for words in commands]
    records = "\n".join(str(record) for record in daemon.records())
    return records + "".join(answer.out + answer.err for answer in answers)


def last(daemon: Daemon) -> str:
    return str(daemon.status()["checks"][0]["targets"][0]["last"])


@pytest.mark.parametrize("is_credential", [False, True])
def test_a_check_opens_the_door_with_its_headers_and_never_tells_them(
    daemon: Daemon,
    shared_folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    is_credential: bool,
) -> None:
    file = shared_folder / "web"
    file.write_text(f"Authorization: Bearer {SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv(CREDENTIALS, str(shared_folder))
    word = "web" if is_credential else str(file)
    with serving(serve) as port:
        check = a_check(f'rise = 1\nheaders_file = "{word}"', type_="http", target=f"127.0.0.1:{port}")
        daemon.start(check + a_route())
        wait_until(lambda: shown(TO) != [])
        assert SECRET not in everything_said(daemon)
        # what is renewed counts at once
        file.write_text("Authorization: Bearer old\n")
        wait_until(lambda: shown(TO) == [])
        assert daemon.entry("route/lan")["reason"].startswith("check/web is down (http: status 401")
        file.write_text(f"Authorization: Bearer {SECRET}\n")
        wait_until(lambda: shown(TO) != [])
        # what cannot be sent says so, with its cure, and nothing is known of the server by it
        file.chmod(0o644)
        wait_until(lambda: "others than root may read" in last(daemon))
        assert ("LoadCredential=web:PATH" if is_credential else "chmod 600") in last(daemon)
        file.chmod(0o600)
        file.write_text(f"Authorization {SECRET}\n")
        wait_until(lambda: "line 1" in last(daemon))
        file.unlink()
        wait_until(lambda: "No such file" in last(daemon))
        assert daemon.status()["checks"][0]["state"] in {"up", "failed"}
        assert shown(TO) != []
        assert SECRET not in everything_said(daemon)


def test_a_check_whose_headers_are_missing_from_the_start_says_how_they_come(
    daemon: Daemon,
    shared_folder: Path,  # noqa: F811
) -> None:
    with serving(serve) as port:
        check = a_check(f'headers_file = "{shared_folder}/none"', type_="http", target=f"127.0.0.1:{port}")
        daemon.start(check + a_route())
        wait_until(lambda: "none: No such file" in last(daemon))
        assert "chmod 600" in last(daemon)
        assert shown(TO) == []
        assert daemon.entry("route/lan")["state"] in {"waiting", "failed"}
