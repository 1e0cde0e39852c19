"""What each type of check makes of servers that are good, dead, slow or wrong. Real sockets, real certificates."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as File
from typing import Any

import pytest

from routed.audit.reasons import describe_reason
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Origin
from routed.model.net import parse_address
from routed.model.reasons import Finding
from routed.probes.ask import Answered, ask
from routed.probes.sockets import Path
from tests.kernel import netns
from tests.kernel.netns import ip
from tests.probes import servers
from tests.probes.servers import Authority, Serve, answering, encrypted, http, say, serving

HERE = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
TIMEOUT = 0.5
ANY = Path()


def put(type_: str, port: int = 0, address: str = "127.0.0.1", path: Path = ANY, **keys: Any) -> Answered:
    """Ask once."""
    target = Target(parse_address(address), port)
    check = Check(name="it", origin=Origin("f", 1), type=CheckType(type_), targets=(target,), timeout=TIMEOUT)
    return asyncio.run(ask(replace(check, **keys), target, path))


def found(type_: str, port: int = 0, address: str = "127.0.0.1", path: Path = ANY, **keys: Any) -> tuple[str, str]:
    probed = put(type_, port, address, path, **keys).probed
    return probed.finding.name, describe_reason(probed)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """v0 with 10.0.0.1/24 and fd00::1/64; its far end is somebody with .2 and ::2."""
    with netns.private_network(), netns.new_namespace() as far:
        File("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        netns.veth("v0", "10.0.0.1/24", "fd00::1/64")
        ip(f"link set v0p netns {far}")
        with netns.inside(far):
            File("/proc/sys/net/ipv6/conf/v0p/accept_dad").write_text("0")
            for command in ("link set v0p up", "addr add 10.0.0.2/24 dev v0p", "addr add fd00::2/64 dev v0p nodad"):
                ip(command)
            netns.wait_until_usable()
        netns.wait_until(lambda: "LOWER_UP" in ip("link show v0"))
        netns.wait_until_usable()
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


# --- TCP ----------------------------------------------------------------------------------------------------------


@HERE
def test_tcp_connects(address: str) -> None:
    with serving(servers.hang, address) as port:
        assert found("tcp", port, address)[0] == "GOOD"


@HERE
def test_tcp_is_refused(address: str) -> None:
    assert found("tcp", 9, address) == ("REFUSED", "tcp: connection refused")


@pytest.mark.parametrize(
    ("serve", "finding"),
    [
        (say(b"+PO", b"NG\r\n", pause=0.05), "GOOD"),
        (say(b"-ERR\r\n"), "UNEXPECTED"),
        (say(b"x" * 100_000), "UNEXPECTED"),
        (servers.hang, "SILENCE"),
        (servers.reset, "RESET"),
        (servers.close, "CLOSED"),
    ],
)
def test_tcp_expects_a_text(serve: Serve, finding: str) -> None:
    with serving(serve) as port:
        result = found("tcp", port, send="PING\r\n", expect="+PONG")[0]
        assert result == finding or {result, finding} == {"CLOSED", "RESET"}  # who closes with data unread resets


# --- TLS ----------------------------------------------------------------------------------------------------------


def test_tls_shakes_hands_and_the_certificate_is_checked_where_a_name_is_given(authority: Authority) -> None:
    ca = str(authority.certificate)
    with serving(encrypted(authority.issue("www.example.org"), servers.hang)) as port:
        assert found("tls", port)[0] == "GOOD"
        assert found("tls", port, host="www.example.org", verify=True, ca=ca)[0] == "GOOD"
        assert found("tls", port, host="www.example.org", verify=True)[0] == "CERTIFICATE"
        finding, words = found("tls", port, host="other.example.org", verify=True, ca=ca)
        assert finding == "CERTIFICATE"
        assert "other.example.org" in words


def test_a_file_of_issuers_that_was_renewed_counts_from_the_next_question_on(
    authority: Authority, tmp_path: File
) -> None:
    (tmp_path / "other").mkdir()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(tmp_path / "other").certificate.read_bytes())
    with serving(encrypted(authority.issue("new.example.org"), servers.hang)) as port:
        assert found("tls", port, host="new.example.org", verify=True, ca=str(ca))[0] == "CERTIFICATE"
        ca.write_bytes(authority.certificate.read_bytes())
        assert found("tls", port, host="new.example.org", verify=True, ca=str(ca))[0] == "GOOD"


def test_an_expired_certificate_is_called_expired(authority: Authority) -> None:
    with serving(encrypted(authority.issue("old.example.org", is_expired=True), servers.hang)) as port:
        found_ = found("tls", port, host="old.example.org", verify=True, ca=str(authority.certificate))
        assert found_ == ("CERTIFICATE", "tls: certificate: certificate has expired")


def test_who_speaks_no_tls_fails_the_handshake() -> None:
    with serving(say(b"220 mail.example.org\r\n")) as port:
        assert found("tls", port)[0] == "HANDSHAKE"
    with serving(servers.hang) as port:
        assert found("tls", port)[0] == "SILENCE"


def test_the_name_that_is_meant_is_sent_in_the_handshake_and_in_the_head(authority: Authority) -> None:
    names: list[str] = []
    heads: list[bytes] = []
    context = authority.issue("sni.example.org")
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def serve(connection: Any) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(http())

    with serving(encrypted(context, serve)) as port:
        finding, _ = found(
            "https", port, host="sni.example.org", verify=True, ca=str(authority.certificate)
        )  # fmt: skip
    assert finding == "GOOD"
    assert names == ["sni.example.org"]
    assert f"Host: sni.example.org:{port}\r\n".encode().lower() in heads[0].lower()


# --- HTTP ---------------------------------------------------------------------------------------------------------


@HERE
@pytest.mark.parametrize(
    ("answer", "finding", "words"),
    [
        (http(), "GOOD", ""),
        (http("204 No Content", b""), "GOOD", ""),
        (http("302 Found", b"", b"Location: http://127.0.0.1:1/\r\n"), "GOOD", ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(), "GOOD", ""),
        (http("401 Unauthorized"), "STATUS", "http: status 401"),
        (http("503 Service Unavailable"), "STATUS", "http: status 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "MALFORMED", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "MALFORMED", ""),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2_000_000, "MALFORMED", ""),
        (b"", "CLOSED", ""),
    ],
)
def test_http_judges_the_status_and_follows_no_redirect(address: str, answer: bytes, finding: str, words: str) -> None:
    with serving(say(answer), address) as port:
        assert found("http", port, address)[0] == finding
        assert words in found("http", port, address)[1]


@pytest.mark.parametrize(
    ("body", "finding"),
    [(b"all is well", "GOOD"), (b"ill", "UNEXPECTED"), (b"", "UNEXPECTED"), (b"x" * 10_000_000, "UNEXPECTED")],
)
def test_http_expects_a_text_in_the_beginning_of_the_body(body: bytes, finding: str) -> None:
    with serving(say(http(body=body))) as port:
        assert found("http", port, body="well")[0] == finding


def test_a_body_in_chunks_is_put_together() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n8\r\n is well\r\n0\r\n\r\n"
    with serving(say(chunks)) as port:
        assert found("http", port, body="all is well")[0] == "GOOD"


@pytest.mark.parametrize("serve", [servers.drip, servers.hang], ids=["a byte at a time", "silent"])
def test_http_is_over_when_the_time_is(serve: Serve) -> None:
    with serving(serve) as port:
        asked = put("http", port, body="y")
    assert asked.probed.finding is Finding.SILENCE
    assert asked.seconds < 2 * TIMEOUT


# --- datagrams ----------------------------------------------------------------------------------------------------


def of_dns(question: bytes, flags: int = 0x8180, records: int = 1) -> bytes:
    return question[:2] + flags.to_bytes(2, "big") + b"\0\1" + records.to_bytes(2, "big") + b"\0\0\0\0" + question[12:]


@HERE
@pytest.mark.parametrize(
    ("answer", "finding", "words"),
    [
        (of_dns, "GOOD", ""),
        (lambda question: of_dns(question, records=0), "NO_RECORD", "no A of www.example.org"),
        (lambda question: of_dns(question, 0x8183), "NO_RECORD", "NXDOMAIN"),
        (lambda question: of_dns(question, 0x8182), "NO_RECORD", "SERVFAIL"),
        (lambda question: question, "MALFORMED", ""),
        (lambda question: question[:2], "MALFORMED", "2 bytes"),
        (lambda question: of_dns(b"\xff\xff" + question[2:]), "SILENCE", ""),
        (lambda _: b"", "SILENCE", "no answer in 0.5 s"),
    ],
)
def test_dns_wants_a_record(address: str, answer: Any, finding: str, words: str) -> None:
    with answering(answer, address) as port:
        result = found("dns", port, address, query="www.example.org")
    assert result[0] == finding
    assert words in result[1]


def test_udp_wants_an_answer() -> None:
    with answering(lambda question: b"pong" if question == b"ping" else b"") as port:
        assert found("udp", port, send="ping")[0] == "GOOD"
        assert found("udp", port, send="ping", expect="pong")[0] == "GOOD"
        assert found("udp", port, send="ping", expect="other")[0] == "UNEXPECTED"
        assert found("udp", port, send="what")[0] == "SILENCE"
    assert found("udp", 9, send="ping")[0] == "REFUSED"


# --- neighbours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2", "127.0.0.1", "::1"])
def test_an_echo_comes_back(address: str) -> None:
    assert found("icmp", address=address)[0] == "GOOD"


@pytest.mark.parametrize("address", ["10.0.0.77", "fd00::77"])
def test_no_echo_comes_back(address: str) -> None:
    assert found("icmp", address=address)[0] in {"SILENCE", "UNREACHABLE"}


@pytest.mark.parametrize("type_", ["icmp", "tcp"])
@pytest.mark.parametrize("address", ["203.0.113.1", "2001:db8::1"])
def test_where_this_host_has_no_route_nothing_is_known(type_: str, address: str) -> None:
    assert found(type_, 80, address)[0] == "LOCAL"


def test_a_question_leaves_by_the_link_and_the_source_that_are_named() -> None:
    v0 = netns.index_of("v0")
    ip("route add 10.0.0.2/32 dev lo")  # a better route elsewhere
    assert found("icmp", address="10.0.0.2")[0] != "GOOD"
    assert found("icmp", address="10.0.0.2", path=Path("v0", v0, parse_address("10.0.0.1")))[0] == "GOOD"


def test_a_source_that_is_not_there_makes_nothing_known() -> None:
    assert found("icmp", address="10.0.0.2", path=Path(source=parse_address("10.0.0.99")))[0] == "LOCAL"


@pytest.mark.parametrize(("there", "nobody"), [("10.0.0.2", "10.0.0.77"), ("fd00::2", "fd00::77")])
def test_a_neighbour_says_that_it_is_there_with_and_without_an_address_of_ours(there: str, nobody: str) -> None:
    path = Path("v0", netns.index_of("v0"))
    assert found("arp", address=there, path=path)[0] == "GOOD"
    assert found("arp", address=nobody, path=path)[0] == "SILENCE"
    if "." in there:
        ip("addr flush dev v0")
        assert found("arp", address=there, path=path)[0] == "GOOD"


# --- files --------------------------------------------------------------------------------------------------------


def test_a_file_is_up_while_it_is_there_and_does_not_say_down(tmp_path: File) -> None:
    file = tmp_path / "state"
    assert found("file", file=str(file)) == ("ABSENT", f"file: {file} does not exist")
    for text, finding in (("", "GOOD"), ("up 3", "GOOD"), ("down for repair", "SAYS_DOWN"), ("DOWN", "SAYS_DOWN")):
        file.write_text(text)
        assert found("file", file=str(file))[0] == finding


def test_a_file_that_others_may_write_says_nothing(tmp_path: File) -> None:
    file = tmp_path / "state"
    file.write_text("up")
    file.chmod(0o666)
    assert found("file", file=str(file)) == (
        "WRITABLE",
        f"file: somebody else than root may write {file}: chown -h root and chmod go-w",
    )
    file.chmod(0o644)
    tmp_path.chmod(0o777)
    assert found("file", file=str(file))[0] == "WRITABLE"
    tmp_path.chmod(0o1777)
    assert found("file", file=str(file))[0] == "GOOD"  # sticky, as /run/lock
    tmp_path.chmod(0o700)
    file.unlink()
    file.mkdir()
    assert found("file", file=str(file))[0] == "LOCAL"


# --- this host ----------------------------------------------------------------------------------------------------


def test_without_a_descriptor_left_nothing_is_known() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def starve() -> Answered:
        target = Target(parse_address("127.0.0.1"), 9)
        check = Check(name="it", origin=Origin("f", 1), type=CheckType.TCP, targets=(target,))
        await ask(check, target, Path())  # everything is imported
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            return await ask(check, target, Path())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    asked = asyncio.run(starve())
    assert asked.probed.finding is Finding.LOCAL
    assert describe_reason(asked.probed) == "tcp: it could not be asked: Too many open files"


def test_a_host_that_was_too_busy_to_notice_knows_nothing() -> None:
    async def block() -> Answered:
        target = Target(parse_address("10.0.0.77"))
        check = Check(name="it", origin=Origin("f", 1), type=CheckType.UDP, targets=(target,), send="x", timeout=0.1)
        task = asyncio.create_task(ask(check, Target(target.address, 9), Path()))
        await asyncio.sleep(0.05)
        time.sleep(1.0)  # noqa: ASYNC251  the loop is what is blocked
        return await task

    assert asyncio.run(block()).probed.finding is Finding.LOCAL


def test_a_certificate_file_that_is_not_there_is_our_own_lack() -> None:
    with serving(servers.hang) as port:
        assert found("tls", port, host="x.example.org", verify=True, ca="/nonexistent.pem") == (
            "NO_ISSUERS",
            (
                "tls: no issuers from /nonexistent.pem (No such file or directory): put their certificates there,"
                " or change `ca`"
            ),
        )


def test_a_certificate_file_without_a_certificate_is_our_own_lack_and_nobody_is_asked(tmp_path: File) -> None:
    asked: list[bytes] = []
    (tmp_path / "empty.pem").touch()
    with serving(lambda connection: asked.append(connection.recv(9))) as port:
        for ca in (tmp_path / "empty.pem", tmp_path):
            assert found("tls", port, host="x.example.org", verify=True, ca=str(ca))[0] == "NO_ISSUERS"
    assert asked == []


ASK_WITHOUT_RIGHTS = """
import asyncio
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Origin
from routed.probes.ask import ask
from routed.probes.sockets import Path
for type_, path in ((CheckType.ICMP, Path()), (CheckType.ICMP, Path("lo", 1, bytes((127, 0, 0, 1)),
                     gateway=bytes((127, 0, 0, 2)))), (CheckType.UDP, Path(mark=7))):
    check = Check(name="it", origin=Origin("f", 1), type=type_, targets=(Target(bytes((127, 0, 0, 1)), 9),), timeout=1)
    print(asyncio.run(ask(check, check.targets[0], path)).probed.finding.name)
"""


def test_without_the_right_to_the_socket_the_question_cannot_be_asked_here() -> None:
    command = ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin", sys.executable]
    done = subprocess.run([*command, "-c", ASK_WITHOUT_RIGHTS], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["NO_SOCKET"] * 3, done.stderr
