from __future__ import annotations

import json
import os
from errno import EIO
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from routed.daemon.claims import VERSION, ClaimsFile, SeenClaims
from routed.kernel.dump import finish
from routed.kernel.ipvs.claims import Claim, ClaimOrigin, Claims, read_origin, server_key, service_key
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServerValue, ServiceMember, ServiceValue
from routed.model.net import IPV4

HERE: Final = ClaimOrigin("5f0c", "cookie 1")
WEB: Final = ServerSlot(IPV4, ServiceMember(TCP, bytes((10, 0, 0, 9)), 80))
MARK: Final = ServerSlot(IPV4, ServiceMember(fwmark=7))
SERVICE: Final = Claim(service_key(WEB), ServiceValue(114, "sh", 0x18, is_shared=True))
SERVER: Final = Claim(server_key(WEB, ServerMember(bytes((10, 0, 1, 1)), 8080)), ServerValue(114, weight=0))
MARKED: Final = Claim(service_key(MARK), ServiceValue(115, "rr"))
GIVEN_UP: Final = Claim(SERVER.key, None)


HEAD: Final = '{"version": 1, "boot": "5f0c", "namespace": "cookie 1"}\n'


def make(folder: Path) -> tuple[ClaimsFile, list[str]]:
    said: list[str] = []
    return ClaimsFile(folder / "state", said.append), said


def path(folder: Path) -> Path:
    return folder / "state" / "ipvs.jsonl"


def test_what_is_kept_comes_back_in_order(tmp_path: Path) -> None:
    file, said = make(tmp_path)
    assert finish(file.read(HERE)) == []
    file.replace(HERE, [SERVICE])
    file.append([SERVER, MARKED])
    file.append([GIVEN_UP])
    assert finish(file.read(HERE)) == [SERVICE, SERVER, MARKED, GIVEN_UP]
    head, *lines = path(tmp_path).read_text().splitlines()
    assert json.loads(head) == {"version": VERSION, "boot": "5f0c", "namespace": "cookie 1"}
    assert len(lines) == 4
    file.replace(HERE, [MARKED])
    assert finish(file.read(HERE)) == [MARKED]
    assert [one.name for one in path(tmp_path).parent.iterdir()] == ["ipvs.jsonl"]
    assert said == []


@pytest.mark.parametrize("other", [ClaimOrigin("another", "cookie 1"), ClaimOrigin("5f0c", "cookie 2")])
def test_what_was_claimed_elsewhere_or_before_the_boot_is_nothing_and_no_damage(
    tmp_path: Path, other: ClaimOrigin
) -> None:
    file, said = make(tmp_path)
    file.replace(HERE, [SERVICE])
    assert (finish(file.read(other)), said) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 0, "boot": "5f0c", "namespace": "cookie 1"}',
        HEAD + '["service"]\n',
        HEAD + '["service", {"Path": {}}, null, null]\n',
        HEAD + "{{{\n",
        HEAD + '["service", null, null, null]\n',
        HEAD + '["lamp", {"ServiceSlot": {"family": 2}}, null, null]\n',
        HEAD + '["service", {"ServiceSlot": {"family": 2}}, 7, 7]\n',
        HEAD + '["server", {"ServiceSlot": {"family": 2}}, {"dict": []}, null]\n',
        "\x00\x00",
    ],
)
def test_a_damaged_file_is_complained_of_and_void(tmp_path: Path, text: str) -> None:
    file, said = make(tmp_path)
    path(tmp_path).parent.mkdir()
    path(tmp_path).write_text(text)
    assert finish(file.read(HERE)) == []
    [complaint] = said
    assert "which IPVS services are ours" in complaint
    assert str(path(tmp_path)) in complaint
    file.replace(HERE, [SERVICE])
    assert finish(file.read(HERE)) == [SERVICE]


def test_a_file_of_a_newer_routed_is_left_alone(tmp_path: Path) -> None:
    file, said = make(tmp_path)
    path(tmp_path).parent.mkdir()
    path(tmp_path).write_text('{"version": 2}\n')
    assert finish(file.read(HERE)) == []
    assert "a newer routed wrote it" in said[0]
    with pytest.raises(OSError, match="left alone"):
        Claims(file, lambda: HERE).put({SERVICE.key: SERVICE.value})
    assert path(tmp_path).read_text() == '{"version": 2}\n'


def test_a_line_that_was_not_finished_is_no_claim_and_no_damage(tmp_path: Path) -> None:
    file, said = make(tmp_path)
    file.replace(HERE, [SERVICE])
    with path(tmp_path).open("a") as opened:
        opened.write('["server", {"ServerSl')
    assert finish(file.read(HERE)) == [SERVICE]
    file.append([MARKED])
    assert finish(file.read(HERE)) == [SERVICE, MARKED]
    assert said == []


@pytest.mark.parametrize("fitting", [0, 7])
def test_what_cannot_be_kept_leaves_no_trace(tmp_path: Path, fitting: int) -> None:
    file, said = make(tmp_path)
    file.replace(HERE, [SERVICE])
    write = os.pwrite

    def fill(handle: int, content: bytes, start: int) -> int:
        return write(handle, content[:fitting], start)

    with patch("routed.daemon.claims.os.pwrite", fill), pytest.raises(OSError, match="No space left"):
        file.append([SERVER])
    assert finish(file.read(HERE)) == [SERVICE]
    assert path(tmp_path).read_bytes().endswith(b"\n")
    assert said == []


def test_a_file_that_cannot_be_read_just_now_is_an_error_and_not_nothing(tmp_path: Path) -> None:
    file, _ = make(tmp_path)
    file.replace(HERE, [SERVICE])
    with (
        patch.object(Path, "read_bytes", side_effect=OSError(EIO, "Input/output error")),
        pytest.raises(OSError, match="Input/output"),
    ):
        finish(file.read(HERE))


def test_a_file_that_somebody_threw_away_is_written_anew_with_all_claims(tmp_path: Path) -> None:
    file, _ = make(tmp_path)
    claims = Claims(file, lambda: HERE)
    claims.put({SERVICE.key: SERVICE.value, SERVER.key: SERVER.value})
    path(tmp_path).unlink()
    claims.put({MARKED.key: MARKED.value})
    assert finish(file.read(HERE)) == [SERVICE, SERVER, MARKED]


def test_who_only_reads_changes_nothing(tmp_path: Path) -> None:
    file, _ = make(tmp_path)
    file.replace(HERE, [SERVICE])
    before = path(tmp_path).read_bytes()
    claims = Claims(SeenClaims(file), lambda: HERE)
    claims.load()
    claims.settle({SERVICE.key: None})
    assert claims.of_service(WEB) is None
    assert path(tmp_path).read_bytes() == before


def test_the_origin_is_that_of_this_boot_and_namespace() -> None:
    here = read_origin()
    assert here == read_origin()
    assert here.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert here.namespace.split()[0] in {"cookie", "inode"}


def test_many_claims_are_read_in_slices_and_somebody_who_cannot_wait_reads_them_at_once(tmp_path: Path) -> None:
    file, _ = make(tmp_path)
    claims = [
        Claim(server_key(WEB, ServerMember(bytes((10, 0, n >> 8, n & 255)), 80)), SERVER.value) for n in range(5000)
    ]
    file.replace(HERE, claims)
    loaded = Claims(file, lambda: HERE)
    assert sum(1 for _ in loaded.load_in_slices()) > 20
    assert len(loaded.servers_of(WEB)) == 5000
    other = Claims(file, lambda: HERE)
    for count, _ in enumerate(other.load_in_slices()):
        if count == 22:
            other.load()
            other.settle({claims[0].key: None})
    assert len(other.servers_of(WEB)) == 4999
