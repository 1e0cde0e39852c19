"""Who asks is named by what stands on this host alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from routed.daemon.askers import name_asker, name_user
from routed.daemon.clients import Peer


@pytest.fixture
def passwd(tmp_path: Path) -> Path:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/sh\nodd\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    return path


@pytest.mark.parametrize(("uid", "name"), [(0, "root"), (1000, "alice"), (100, "uid 100"), (7777, "uid 7777")])
def test_a_user_of_a_directory_elsewhere_is_a_number(passwd: Path, uid: int, name: str) -> None:
    assert name_user(uid, passwd) == name


def test_without_a_list_of_users_all_are_numbers(tmp_path: Path) -> None:
    assert name_user(0, tmp_path / "nosuch") == "uid 0"


def test_a_process_that_is_gone_is_still_somebodys() -> None:
    assert name_asker(Peer(4 << 20, os.geteuid(), frozenset())) == name_user(os.geteuid())
