"""Files of settings under a root folder: which of them count, in which order, and what is not known where one hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.core.settings import read_settings
from routed.daemon.host_files import HostFiles
from routed.model.diagnosis import Hidden, JournalState, Obstacle, Region, Setting
from routed.model.facts import Link

ETH0, ETH1, LO = (
    Link(2, "eth0", True, True, mac=b"\2\0\0\0\0\1"),
    Link(3, "eth1", True, True),
    Link(1, "lo", True, True),
)
LINKS = (LO, ETH0, ETH1)


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def settings(root: Path) -> list[tuple[str, str]]:
    state = HostFiles(root).read_networkd(LINKS, is_running=True)
    assert state is not None
    return [(one.file, one.value) for one in state.settings]


def test_a_setting_is_told_with_its_file_line_section_and_value() -> None:
    text = "# words\n[Network]\n\nManageForeignRoutes = no \n; more\nLong=a \\\n  b\n[Other]\nX=1\nno equals\n"
    assert list(read_settings(text, "/f")) == [
        Setting("/f", 4, "Network", "ManageForeignRoutes", "no"),
        Setting("/f", 6, "Network", "Long", "a b"),
        Setting("/f", 9, "Other", "X", "1"),
    ]


def test_drop_ins_count_behind_the_main_file_in_the_order_of_their_names_whatever_their_folder(tmp_path: Path) -> None:
    main = "[Network]\nManageForeignRoutes="
    write(tmp_path, "usr/lib/systemd/networkd.conf", f"{main}vendor\n")
    write(tmp_path, "etc/systemd/networkd.conf", f"{main}main\n")
    write(tmp_path, "etc/systemd/networkd.conf.d/50-b.conf", f"{main}b\n")
    write(tmp_path, "run/systemd/networkd.conf.d/10-a.conf", f"{main}a\n")
    write(tmp_path, "usr/lib/systemd/networkd.conf.d/50-b.conf", f"{main}hidden by that of etc\n")
    write(tmp_path, "usr/lib/systemd/networkd.conf.d/60-c.conf", f"{main}c\n")
    write(tmp_path, "usr/lib/systemd/networkd.conf.d/70-d.conf", f"{main}masked\n")
    (tmp_path / "etc/systemd/networkd.conf.d/70-d.conf").symlink_to("/dev/null")
    write(tmp_path, "etc/systemd/networkd.conf.d/readme.txt", f"{main}not asked\n")
    assert settings(tmp_path) == [
        ("/etc/systemd/networkd.conf", "main"),
        ("/run/systemd/networkd.conf.d/10-a.conf", "a"),
        ("/etc/systemd/networkd.conf.d/50-b.conf", "b"),
        ("/usr/lib/systemd/networkd.conf.d/60-c.conf", "c"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10-a.conf", "routed.conf"),
        ("routed.conf", "routed.conf"),
        ("zebra.conf", "zz-routed.conf"),
        ("zzz.conf", "zzz_routed.conf"),
    ],
)
def test_the_name_for_a_drop_in_of_ours_comes_behind_all_others(tmp_path: Path, name: str, expected: str) -> None:
    write(tmp_path, f"etc/systemd/networkd.conf.d/{name}", "[Network]\n")
    state = HostFiles(tmp_path).read_networkd(LINKS, is_running=True)
    assert state is not None
    assert state.drop_in == expected or state.drop_in > name


def test_networkd_that_neither_runs_nor_is_going_to_is_none(tmp_path: Path) -> None:
    assert HostFiles(tmp_path).read_networkd(LINKS, is_running=False) is None
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")
    assert HostFiles(tmp_path).read_networkd(LINKS, is_running=False) is not None


def test_the_links_that_networkd_configures_are_those_of_its_state(tmp_path: Path) -> None:
    write(
        tmp_path,
        "run/systemd/netif/links/2",
        "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-e.network\n",
    )
    write(tmp_path, "run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n")
    write(tmp_path, "etc/systemd/network/10-e.network", "[Network]\nKeepConfiguration=no\n")
    write(tmp_path, "run/systemd/network/10-e.network.d/a.conf", "[Network]\nKeepConfiguration=static\n")
    state = HostFiles(tmp_path).read_networkd(LINKS, is_running=True)
    assert state is not None
    assert state.managed == {"eth0": "/etc/systemd/network/10-e.network"}
    assert [one.value for one in state.links["eth0"]] == ["no", "static"]


@pytest.mark.parametrize(
    ("text", "managed"),
    [
        ("", {"eth0", "eth1"}),
        ("unmanaged-devices=interface-name:eth0", {"eth1"}),
        ("unmanaged-devices=interface-name:eth*", set()),
        ("unmanaged-devices=*,except:interface-name:eth1", {"eth1"}),
        ("unmanaged-devices=mac:02:00:00:00:00:01", {"eth1"}),
        ("unmanaged-devices=02:00:00:00:00:01;interface-name:eth1", set()),
        ("unmanaged-devices=type:ethernet", set()),
        ("unmanaged-devices=interface-name:eth0\nunmanaged-devices=interface-name:eth1", {"eth0"}),
        ("unmanaged-devices=interface-name:eth0\nunmanaged-devices+=interface-name:eth1", set()),
    ],
)
def test_which_devices_are_left_alone_says_the_configuration_of_networkmanager(
    tmp_path: Path, text: str, managed: set[str]
) -> None:
    write(tmp_path, "etc/NetworkManager/conf.d/a.conf", f"[keyfile]\n{text}\n")
    state = HostFiles(tmp_path).read_manager(LINKS, is_running=True)
    assert state is not None
    assert set(state.managed) == managed
    assert HostFiles(tmp_path).read_manager(LINKS, is_running=False) is None


def test_what_networkmanager_itself_says_of_a_device_counts_more(tmp_path: Path) -> None:
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices=interface-name:eth0\n")
    write(tmp_path, "run/NetworkManager/devices/2", "[device]\nmanaged=true\n")
    write(tmp_path, "run/NetworkManager/devices/3", "[device]\nmanaged=false\n")
    state = HostFiles(tmp_path).read_manager(LINKS, is_running=True)
    assert state is not None
    assert state.managed == {"eth0": "/run/NetworkManager/devices/2: managed=true"}


def test_connections_with_a_table_of_their_own_are_told_with_the_line(tmp_path: Path) -> None:
    folder = "etc/NetworkManager/system-connections"
    write(
        tmp_path, f"{folder}/w.nmconnection", "[connection]\nid=wired\n[ipv4]\nroute-table=254\n[ipv6]\nroute-table=0\n"
    )
    write(tmp_path, f"{folder}/v.nmconnection", "[connection]\nid=other\n[ipv4]\nmethod=auto\n")
    state = HostFiles(tmp_path).read_manager(LINKS, is_running=True)
    assert state is not None
    assert [(one.name, one.setting.section, one.setting.line) for one in state.profiles] == [("wired", "ipv4", 4)]


def test_a_file_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "etc/systemd/networkd.conf").mkdir(parents=True)
    files = HostFiles(tmp_path)
    assert files.read_networkd(LINKS, is_running=True) is not None
    assert files.hidden == [Hidden(Region.FILE, Obstacle.ERROR, "/etc/systemd/networkd.conf: Is a directory")]


def test_the_journal_is_where_its_last_setting_and_its_folder_say(tmp_path: Path) -> None:
    assert HostFiles(tmp_path).read_journal() is None
    (tmp_path / "run/systemd/journal").mkdir(parents=True)
    assert HostFiles(tmp_path).read_journal() == JournalState()
    (tmp_path / "var/log/journal").mkdir(parents=True)
    write(tmp_path, "etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n")
    write(tmp_path, "etc/systemd/journald.conf.d/a.conf", "[Journal]\nStorage=volatile\n")
    state = HostFiles(tmp_path).read_journal()
    assert state is not None
    assert (state.storage, state.has_folder) == ("volatile", True)
