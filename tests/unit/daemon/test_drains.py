"""Since when servers drain, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.daemon.drains import DrainsFile, KeptDrains
from routed.daemon.storage import StateError
from routed.model.drain import Drain
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServiceMember
from routed.model.net import IPV4, IPV6
from routed.model.objects import Key, Kind

V4 = Key(Kind.SERVER, ServerSlot(IPV4, ServiceMember(TCP, b"\n\0\0\1", 443)), ServerMember(b"\n\0\0\2", 443))
V6 = Key(Kind.SERVER, ServerSlot(IPV6, ServiceMember(fwmark=7)), ServerMember(bytes(15) + b"\1", 0))
DRAINS = KeptDrains(
    {V4: Drain(1.5, 31.5, 1800000000), V6: Drain(0.0, 3600.0, 1800000001)}, {"service/a": {"10.0.0.2:443": 7.5}}
)


def test_what_is_kept_is_there_in_the_same_boot_and_in_no_other(tmp_path: Path) -> None:
    file = DrainsFile(tmp_path / "state")
    file.save(DRAINS, "this boot")
    assert file.load("this boot") == DRAINS
    assert file.load("another boot") == KeptDrains()
    file.save(KeptDrains(), "this boot")
    assert file.load("this boot") == KeptDrains()
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"version": 1}',
        b'{"version": 1, "boot": "b", "drains": [[1, 2, 3, 4, 5]]}',
        b'{"version": 1, "boot": "b", "drains": [[]]}',
        b'{"version": 1, "boot": "b", "drains": 7}',
        b'{"version": 1, "boot": "b", "drains": [], "risen": {"a": 1}}',
        b'{"version": 1, "boot": "b", "drains": [], "risen": {"a": {"b": NaN}}}',
        b'{"version": 1, "boot": "b", "drains": [], "risen": {"a": {"b": 1e999}}}',
    ],
)
def test_what_is_damaged_is_told_and_says_nothing(tmp_path: Path, content: bytes) -> None:
    told: list[str] = []
    (tmp_path / "drains.json").write_bytes(content)
    assert DrainsFile(tmp_path, told.append).load("b") == KeptDrains()
    assert len(told) == 1


def test_what_a_newer_version_wrote_is_left_alone(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "drains.json"
    path.write_text('{"version": 99}')
    file = DrainsFile(tmp_path, told.append)
    assert file.load("b") == KeptDrains()
    assert len(told) == 1
    with pytest.raises(StateError):
        file.save(DRAINS, "b")
    assert path.read_text() == '{"version": 99}'
