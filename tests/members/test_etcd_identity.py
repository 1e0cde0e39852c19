"""Who we are to etcd and who it is to us: certificates, users, passwords. Real servers, real certificates."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from routed.model.etcd import Endpoint, EtcdSettings, Registration, Tls
from routed.model.members import Member
from routed.secrets import CREDENTIALS
from tests.members.certificates import Authority, context_of, options_of
from tests.members.conftest import following
from tests.members.etcds import Cluster, running

AWAY = (Endpoint("127.0.0.1", 9, is_encrypted=True),)  # nobody listens there

Serve = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def nameless(authority: Authority) -> Tls:
    """A client's certificate without a common name."""
    return authority.issue("nameless")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("routed\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def serve(program: Path, tmp_path: Path, authority: Authority, nameless: Tls) -> Serve:
    @contextmanager
    def start(*, has_users: bool = False, **words: str) -> Iterator[Cluster]:
        server = authority.issue("server", **words)
        with running(program, tmp_path, 1, context_of(nameless), *options_of(server)) as cluster:
            cluster.put("/fleet/a", {})
            if has_users:
                cluster.add_users()
            yield cluster

    return start


def test_with_a_certificate_of_its_ca_members_are_told(serve: Serve, nameless: Tls) -> None:
    with serve() as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/", tls=nameless)) as heard:
        heard.wait_for("a")


MEASURE = """
import asyncio, json, sys, tracemalloc
from routed.members.etcd import follow
from routed.model.etcd import Endpoint, EtcdSettings, Tls

async def main(port, tls):
    before, heard = set(sys.modules), asyncio.Event()
    tracemalloc.start()
    settings = EtcdSettings((Endpoint("127.0.0.1", port, is_encrypted=bool(tls)),), "/fleet/", tls=Tls(*tls))
    task = asyncio.create_task(follow(settings, lambda _: heard.set()))
    await heard.wait()
    print(tracemalloc.get_traced_memory()[0], *set(sys.modules) - before)
    task.cancel()

asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
"""


def test_a_connection_that_stands_keeps_little_and_loads_nothing_more(serve: Serve, nameless: Tls) -> None:
    """asyncio's own TLS keeps a buffer of 256 kB for each, and has a host's name encoded by tables of Unicode."""
    with serve() as cluster:
        command = [sys.executable, "-c", MEASURE, str(cluster.servers[0].port)]
        told = subprocess.run(
            [*command, nameless.ca, nameless.cert, nameless.key], capture_output=True, text=True, check=True
        )
    kept, *modules = told.stdout.split()
    assert modules == []
    assert int(kept) < 150_000


def test_a_common_name_is_no_hindrance_where_there_are_no_users(serve: Serve, authority: Authority) -> None:
    tls = authority.issue("named", subject="/CN=node1")
    with serve() as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/", tls=tls)) as heard:
        heard.wait_for("a")


def test_a_user_where_there_are_no_users_is_no_hindrance(serve: Serve, nameless: Tls, password_file: Path) -> None:
    with serve() as cluster:
        settings = EtcdSettings(
            cluster.endpoints, "/fleet/", tls=nameless, user="routed", password_file=str(password_file)
        )
        with following(settings) as heard:
            heard.wait_for("a")


def test_a_server_that_asks_for_our_certificate_and_gets_none_is_named(serve: Serve, authority: Authority) -> None:
    with serve() as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/", tls=Tls(authority.ca))) as heard:
        heard.wait_why("does it accept our `cert`?")


def test_a_server_of_another_ca_is_not_believed(serve: Serve, nameless: Tls, tmp_path: Path) -> None:
    tls = nameless._replace(ca=Authority(tmp_path / "theirs").ca)
    with serve() as cluster, following(EtcdSettings(cluster.endpoints, "/fleet/", tls=tls)) as heard:
        heard.wait_why("its certificate: ")
        assert "see `ca`" in heard.why


def test_a_server_whose_certificate_has_another_address_is_not_believed(serve: Serve, nameless: Tls) -> None:
    with serve() as cluster:
        here = tuple(one._replace(host="localhost") for one in cluster.endpoints)
        with following(EtcdSettings(here, "/fleet/", tls=nameless)) as heard:
            heard.wait_why("the names in that certificate")


def test_a_server_certificate_without_the_purpose_of_a_client_is_explained(
    program: Path, tmp_path: Path, authority: Authority, nameless: Tls
) -> None:
    server = options_of(authority.issue("lame", purposes="serverAuth"))
    with (
        running(program, tmp_path, 1, context_of(nameless), *server, awaits=False) as cluster,
        following(EtcdSettings(cluster.endpoints, "/fleet/", tls=nameless)) as heard,
    ):
        heard.wait_why("lacks the purpose clientAuth")


def test_a_user_is_logged_in_and_again_when_the_server_has_forgotten_it(
    serve: Serve, nameless: Tls, password_file: Path
) -> None:
    with serve(has_users=True) as cluster:
        settings = EtcdSettings(
            cluster.endpoints, "/fleet/", tls=nameless, user="routed", password_file=str(password_file)
        )
        with following(settings) as heard:
            heard.wait_for("a")
            cluster.servers[0].kill()
            heard.wait_why("refused")
            cluster.servers[0].start()
            heard.wait_for("a", within=20)


def test_a_user_registers_a_host(serve: Serve, nameless: Tls, password_file: Path) -> None:
    with serve(has_users=True) as cluster:
        register = Registration(Member("node1", "one"))
        settings = EtcdSettings(
            cluster.endpoints,
            "/fleet/",
            tls=nameless,
            user="routed",
            password_file=str(password_file),
            register=register,
        )
        with following(settings) as heard:
            heard.wait_for("a", "node1")
            heard.wait_registered()


def test_with_users_a_certificate_with_a_common_name_is_explained(
    serve: Serve, authority: Authority, password_file: Path
) -> None:
    tls = authority.issue("named", subject="/CN=node1")
    with serve(has_users=True) as cluster:
        settings = EtcdSettings(cluster.endpoints, "/fleet/", tls=tls, user="routed", password_file=str(password_file))
        with following(settings) as heard:
            heard.wait_why("use a certificate without CN")


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [
        ("", "", "it asks who we are: set `username`"),
        ("routed", "wrong", "it does not know routed by this password"),
        ("nobody", "nobody", "it does not know nobody by this password"),
        ("guest", "guest", "user guest may not do that: grant it"),
    ],
)
def test_whoever_may_not_read_is_told_why(
    serve: Serve, nameless: Tls, password_file: Path, user: str, password: str, why: str
) -> None:
    password_file.write_text(password)
    with serve(has_users=True) as cluster:
        settings = EtcdSettings(cluster.endpoints, "/fleet/", tls=nameless, user=user, password_file=str(password_file))
        with following(settings) as heard:
            heard.wait_why(why)


def test_without_tls_a_user_that_is_not_told_is_asked_for(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path) as cluster:
        cluster.add_users()
        with following(EtcdSettings(cluster.endpoints, "/fleet/")) as heard:
            heard.wait_why("it asks who we are")


def test_a_server_without_tls_where_tls_is_expected_is_named(program: Path, tmp_path: Path, nameless: Tls) -> None:
    with running(program, tmp_path) as cluster:
        endpoints = tuple(one._replace(is_encrypted=True) for one in cluster.endpoints)
        with following(EtcdSettings(endpoints, "/fleet/", tls=nameless)) as heard:
            heard.wait_why("does it speak TLS")


def test_a_server_with_tls_where_none_is_expected_is_named(serve: Serve) -> None:
    with serve() as cluster:
        endpoints = tuple(one._replace(is_encrypted=False) for one in cluster.endpoints)
        with following(EtcdSettings(endpoints, "/fleet/")) as heard:
            heard.wait_why("does it speak TLS, and the endpoint say https")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ca": "/nowhere/ca.pem"}, "`ca`: /nowhere/ca.pem: No such file"),
        ({"cert": "/nowhere/cert.pem"}, "/nowhere/cert.pem"),
        ({"key": "/nowhere/key.pem"}, "/nowhere/key.pem: No such file"),
        ({"key": "etcd-key"}, "routed.service needs LoadCredential=etcd-key:PATH"),
    ],
)
def test_a_file_that_is_not_there_is_named(nameless: Tls, change: dict[str, str], why: str) -> None:
    settings = EtcdSettings(AWAY, "/fleet/", tls=nameless._replace(**change))
    with following(settings) as heard:
        heard.wait_why(why)


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_credential_that_the_unit_does_not_hand_over_is_named(
    nameless: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(CREDENTIALS, str(tmp_path))
    with following(EtcdSettings(AWAY, "/fleet/", tls=nameless._replace(**{key: f"etcd-{key}"}))) as heard:
        heard.wait_why(f"routed.service needs LoadCredential=etcd-{key}:PATH")


def test_a_key_that_others_may_read_is_refused(authority: Authority) -> None:
    tls = authority.issue("open")
    Path(tls.key).chmod(0o644)
    with following(EtcdSettings(AWAY, "/fleet/", tls=tls)) as heard:
        heard.wait_why("others than root may read")


def test_keys_and_passwords_may_be_credentials_of_the_unit(
    serve: Serve, nameless: Tls, password_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CREDENTIALS, str(tmp_path))
    for name, path in zip(("ca", "cert", "key"), nameless, strict=True):
        (tmp_path / f"etcd-{name}").write_bytes(Path(path).read_bytes())
        (tmp_path / f"etcd-{name}").chmod(0o400)
    tls = Tls("etcd-ca", "etcd-cert", "etcd-key")
    with serve(has_users=True) as cluster:
        settings = EtcdSettings(cluster.endpoints, "/fleet/", tls=tls, user="routed", password_file=password_file.name)
        with following(settings) as heard:
            heard.wait_for("a")
