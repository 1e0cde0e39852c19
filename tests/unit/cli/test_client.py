from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from routed import __version__
from routed.cli import client
from routed.cli.client import ClientError, call, watch
from routed.cli.exits import Exit


def test_a_call_is_one_varlink_message_and_its_document_comes_back(serve: Any, replying: Any, tmp_path: Path) -> None:
    calls = serve(replying({"state": "fine"}))
    assert call(str(tmp_path), "Reload", {"force": True}) == {"state": "fine"}
    assert calls == [{"method": "io.routed.Reload", "parameters": {"force": True}}]


def test_an_answer_in_small_pieces_is_put_together(serve: Any, tmp_path: Path) -> None:
    whole = json.dumps({"parameters": {"document": {"text": "ä" * 500}}}, ensure_ascii=False).encode() + b"\0"

    def answer(connection: socket.socket, _call: dict[str, Any]) -> None:
        for start in range(0, len(whole), 7):
            connection.sendall(whole[start : start + 7])

    serve(answer)
    assert call(str(tmp_path), "GetStatus") == {"text": "ä" * 500}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", client.HUNG_UP),
        (b'{"parameters": {"document"', client.HUNG_UP),
        (b"\xff\xfe garbage\0", "the daemon's answer is not a Varlink message"),
        (b"[1, 2]\0", "the daemon's answer is not a Varlink message"),
        (b"[" * 100_000 + b"\0", "the daemon's answer is not a Varlink message"),
        (b'{"parameters": {"document": 5}}\0', "the daemon's answer to GetStatus holds no document"),
        (b'{"parameters": [1]}\0', "the daemon's answer to GetStatus holds no document"),
        (b'{"error": 7, "parameters": [1]}\0', "the daemon answered 7"),
    ],
)
def test_a_broken_answer_is_one_sentence(serve: Any, sending: Any, tmp_path: Path, raw: bytes, sentence: str) -> None:
    serve(sending(raw))
    with pytest.raises(ClientError, match=f"^{sentence}$") as caught:
        call(str(tmp_path), "GetStatus")
    assert caught.value.code is Exit.FAILED


@pytest.mark.parametrize(
    ("error", "parameters", "code", "sentence"),
    [
        ("org.varlink.service.PermissionDenied", {}, Exit.NOT_PERMITTED, "the daemon answered PermissionDenied"),
        ("io.routed.UnknownEntry", {"entry": "route/x"}, Exit.FAILED, "there is no entry route/x in force"),
        ("io.routed.UnknownEntry", {}, Exit.FAILED, "there is no entry ? in force"),
        (
            "org.varlink.service.MethodNotFound",
            {"method": "io.routed.Plan"},
            Exit.FAILED,
            "the daemon does not know io.routed.Plan",
        ),
        (
            "io.routed.InvalidConfiguration",
            {"problems": []},
            Exit.INVALID,
            "the files are invalid: routed check says where and why",
        ),
        ("io.routed.Refused", {"reason": "not\x1b[2J now"}, Exit.REFUSED, "not\\x1b[2J now"),
    ],
)
def test_an_error_of_the_daemon_has_a_sentence_and_a_code(
    serve: Any, sending: Any, tmp_path: Path, error: str, parameters: dict[str, str], code: Exit, sentence: str
) -> None:
    serve(sending(json.dumps({"error": error, "parameters": parameters}).encode() + b"\0"))
    with pytest.raises(ClientError) as caught:
        call(str(tmp_path), "Pause")
    assert (caught.value.code, str(caught.value)) == (code, sentence)


def of_version(version: str, reply: dict[str, Any]) -> Any:
    """A daemon that tells its version when it is asked, and answers anything else with this."""

    def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
        told = {"parameters": {"version": version}} if asked["method"] == client.GET_INFO else reply
        connection.sendall(json.dumps(told).encode() + b"\0")

    return answer


def test_a_daemon_of_another_version_that_does_not_know_a_method_says_so(serve: Any, tmp_path: Path) -> None:
    error = {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "io.routed.Confirm"}}
    calls = serve(of_version("9.9\x1b", error))
    with pytest.raises(ClientError) as caught:
        call(str(tmp_path), "Confirm")
    assert str(caught.value) == (
        f"the daemon does not know io.routed.Confirm: it is routed 9.9\\x1b, and this command is of {__version__}; "
        "restart the daemon"
    )
    assert [asked["method"] for asked in calls] == ["io.routed.Confirm", client.GET_INFO]


def test_a_daemon_of_another_version_that_does_not_take_a_parameter_says_so(serve: Any, tmp_path: Path) -> None:
    serve(of_version("9.9", {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "confirm"}}))
    with pytest.raises(ClientError, match=r"does not take this for confirm: it is routed 9\.9, ") as caught:
        call(str(tmp_path), "Reload", {"confirm": 5})
    assert caught.value.code is Exit.USAGE


def test_a_key_that_a_daemon_of_another_version_does_not_tell_is_asked_for_when_it_is_needed(
    serve: Any, tmp_path: Path
) -> None:
    calls = serve(of_version("9.9", {"parameters": {"document": {"files": {"state": "in force"}}}}))
    status = call(str(tmp_path), "GetStatus")
    assert status["files"]["state"] == "in force"
    assert status.get("new") is None
    assert len(calls) == 1
    with pytest.raises(ClientError, match=r"the daemon's answer does not tell new: it is routed 9\.9, "):
        status["files"]["new"]


def test_a_daemon_of_our_version_is_not_blamed_for_it(serve: Any, tmp_path: Path) -> None:
    serve(of_version(__version__, {"parameters": {"document": {}}}))
    with pytest.raises(ClientError, match=r"^the daemon's answer does not tell new$"):
        call(str(tmp_path), "GetStatus")["new"]


def test_a_status_of_another_version_that_cannot_be_shown_is_one_sentence(
    serve: Any, routed: Any, tmp_path: Path
) -> None:
    serve(of_version("9.9", {"parameters": {"document": {"state": "fine", "entries": []}}}))
    answer = routed("status")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "the daemon's answer does not tell files: it is routed 9.9" in answer.stderr


def test_an_endless_answer_is_cut_off(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_REPLY", 1024 * 1024)

    def answer(connection: socket.socket, _call: dict[str, Any]) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    serve(answer)
    with pytest.raises(ClientError, match="longer than 1 MiB"):
        call(str(tmp_path), "GetStatus")


def test_a_daemon_that_hangs_is_given_up_after_the_time(serve: Any, tmp_path: Path) -> None:
    done = threading.Event()
    serve(lambda _connection, _call: done.wait(10))
    with pytest.raises(ClientError, match=r"did not answer within 0\.1 s") as caught:
        call(str(tmp_path), "GetStatus", timeout=0.1)
    done.set()
    assert caught.value.code is Exit.TIMED_OUT


def test_a_daemon_that_drips_does_not_stretch_the_time(serve: Any, tmp_path: Path) -> None:
    done = threading.Event()

    def answer(connection: socket.socket, _call: dict[str, Any]) -> None:
        while not done.wait(0.02):
            connection.sendall(b"x")

    serve(answer)
    with pytest.raises(ClientError) as caught:
        call(str(tmp_path), "GetStatus", timeout=0.2)
    done.set()
    assert caught.value.code is Exit.TIMED_OUT


def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "io.routed")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as other:
        busy.bind(path)
        busy.listen(0)
        other.connect(path)  # the one place
        with pytest.raises(ClientError) as caught:
            call(str(tmp_path), "GetStatus", timeout=0.1)
        assert caught.value.code is Exit.TIMED_OUT

        def answer() -> None:
            busy.accept()[0].close()
            connection = busy.accept()[0]
            with connection:
                connection.recv(1000)
                connection.sendall(b'{"parameters": {"document": {}}}\0')

        answering = threading.Timer(0.1, answer)
        answering.start()
        assert call(str(tmp_path), "GetStatus") == {}
        answering.join()


def test_a_client_that_is_one_too_many_is_told_so(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(tmp_path / "io.routed"))
        busy.listen()

        def hang_up() -> None:
            busy.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(ClientError) as caught:
            call(str(tmp_path), "GetStatus")
        hanging_up.join()
    assert (str(caught.value), caught.value.code) == (client.HUNG_UP, Exit.FAILED)


def test_nobody_listening_means_that_the_daemon_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="not running") as missing:
        call(str(tmp_path), "GetStatus")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "io.routed"))
    with pytest.raises(ClientError, match="not running") as left_over:
        call(str(tmp_path), "GetStatus")
    assert {missing.value.code, left_over.value.code} == {Exit.UNAVAILABLE}


def test_a_path_too_long_for_a_socket_is_a_sentence_too(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="too long") as caught:
        call(str(tmp_path / ("x" * 200)), "GetStatus")
    assert caught.value.code is Exit.FAILED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_is_not_ours_to_open_means_not_permitted(serve: Any, replying: Any, tmp_path: Path) -> None:
    serve(replying({}))
    (tmp_path / "io.routed").chmod(0o600)
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.chdir(tmp_path)
            os.setuid(65534)
            call(".", "GetStatus")
        except ClientError as error:
            code = int(error.code)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == Exit.NOT_PERMITTED


def test_watch_gives_one_document_after_the_other(serve: Any, sending: Any, tmp_path: Path) -> None:
    first = {"parameters": {"document": {"message": "one"}}, "continues": True}
    last = {"parameters": {"document": {"message": "two"}}}
    calls = serve(sending(json.dumps(first).encode() + b"\0" + json.dumps(last).encode() + b"\0"))
    assert [document["message"] for document in watch(str(tmp_path))] == ["one", "two"]
    assert calls[0]["more"] is True
