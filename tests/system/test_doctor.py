"""``routed doctor`` on a host that is really sick: each cure that it prints is run, and then the doctor is silent."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from routed.model.diagnosis import Ailment
from tests.kernel import netns
from tests.kernel.netns import ip, ip_json
from tests.system.callers import BECOME, NOBODY
from tests.system.clinic import Clinic, program
from tests.system.daemon import PROJECT, Daemon

ROUTE = '[[route]]\nname = "a"\nto = "10.9.0.0/16"\nvia = "10.0.0.2"\n'
TABLE = '[[route]]\nname = "t"\nto = "default"\nvia = "10.1.0.2"\ntable = 100\n'
RULE = '[[rule]]\nname = "r"\npriority = 900\nfrom = "10.1.0.1"\ntable = 100\n'
MARKED = '[[rule]]\nname = "m"\npriority = 901\nfwmark = 7\nfamily = "ipv4"\ntable = 100\n'
CHECKED = ROUTE + 'requires = "@w"\nwhen_all_down = "withdraw"\n[[check]]\nname = "w"\n'
SERVICE = '[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = ["10.0.0.1:444"]\n'
ADDRESS = '[[address]]\nname = "own"\naddress = "10.0.0.5/24"\ndev = "v0"\n'
ALWAYS = {"no-daemon", "clock-free", "not-seen"}  # what the machine of the tests may have


@pytest.fixture
def clinic(network: None, tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def sysctl(*pairs: str) -> None:
    subprocess.run(["sysctl", "-qw", *pairs], check=True)


def test_a_host_in_order_has_nothing_but_that_no_daemon_runs(clinic: Clinic) -> None:
    clinic.write(ROUTE + TABLE + RULE)
    assert {one["finding"] for one in clinic.findings()} <= ALWAYS
    answer = clinic.ask("--quiet")
    assert (answer.code in {69, 1}, answer.out, answer.err) == (True, "", "")


def test_with_a_daemon_a_host_in_order_is_fine(daemon: Daemon) -> None:
    daemon.start(ROUTE + TABLE + RULE)
    answer = daemon.ask("doctor", "--severity", "warning")
    assert (answer.code, answer.out) == (0, "nothing works against the files\n")


def test_a_daemon_that_says_nothing_is_not_fine_and_all_else_is_looked_at(daemon: Daemon) -> None:
    daemon.start(RULE)
    daemon.signal(signal.SIGSTOP)
    try:
        answer = daemon.ask("doctor")
    finally:
        daemon.signal(signal.SIGCONT)
    assert answer.code == 1
    assert "not looked at: what the daemon says of itself" in answer.out
    assert "table 100 is empty" in answer.out


def test_files_that_are_invalid_are_no_patient(clinic: Clinic) -> None:
    clinic.write("nonsense = 1\n")
    answer = clinic.ask()
    assert (answer.code, answer.out) == (78, "")
    assert "unknown key `nonsense`" in answer.err


@pytest.mark.parametrize(
    ("toml", "before", "line"),
    [
        (
            ROUTE + ROUTE.replace('"a"', '"b"').replace("10.0.0.2", "10.1.0.2") + "metric = 10\n",
            "net.ipv4.conf.v0.ignore_routes_with_linkdown=0",
            "sysctl -w net.ipv4.conf.v0.ignore_routes_with_linkdown=1",
        ),
        (TABLE + MARKED, "net.ipv4.conf.v1.rp_filter=1", "sysctl -w net.ipv4.conf.v1.rp_filter=2"),
        (
            TABLE + RULE.replace('from = "10.1.0.1"', 'iif = "v1"\nfamily = "ipv4"'),
            "net.ipv4.conf.v1.forwarding=0",
            "sysctl -w net.ipv4.conf.v1.forwarding=1",
        ),
    ],
)
def test_a_sysctl_that_stands_wrong_is_cured_by_its_line(clinic: Clinic, toml: str, before: str, line: str) -> None:
    sysctl("net.ipv4.conf.all.rp_filter=0", before)
    clinic.write(toml)
    assert clinic.cure("sysctl")["cure"] == line


def test_what_strict_filtering_is_said_to_drop_is_dropped(clinic: Clinic) -> None:
    """Of the answers to marked packets the kernel itself is asked: is there a way for them in by that link?"""
    clinic.write(TABLE + MARKED)
    ip("route add default via 10.0.0.9")
    ip("route add default via 10.1.0.2 table 100")
    ip("rule add priority 901 fwmark 7 lookup 100")
    for value, is_found, code in (("1", True, 2), ("2", False, 0)):
        sysctl("net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.v1.rp_filter={value}")
        done = subprocess.run(
            ["ip", "route", "get", "10.1.0.1", "from", "192.0.2.7", "iif", "v1"], check=False, capture_output=True
        )
        assert done.returncode == code
        assert bool(clinic.findings("sysctl")) is is_found


def test_what_a_link_without_carrier_is_said_to_keep_is_kept(daemon: Daemon, clinic: Clinic) -> None:
    both = ROUTE + ROUTE.replace('"a"', '"b"').replace("10.0.0.2", "10.1.0.2") + "metric = 10\n"
    daemon.start(both)
    clinic.write(both)
    ip("link set v0p down")
    netns.wait_until(lambda: "linkdown" in ip_json("route show 10.9.0.0/16 via 10.0.0.2")[0]["flags"])
    assert ip_json("route get 10.9.0.1")[0]["dev"] == "v0"
    subprocess.run(clinic.findings("sysctl")[0]["cure"].split(), check=True)
    assert ip_json("route get 10.9.0.1")[0]["dev"] == "v1"


def test_what_a_host_that_does_not_forward_is_said_to_drop_is_dropped(daemon: Daemon, clinic: Clinic) -> None:
    forwarded = TABLE + RULE.replace('from = "10.1.0.1"', 'iif = "v0"\nfamily = "ipv4"')
    daemon.start(forwarded)
    clinic.write(forwarded)
    sysctl("net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.v0.rp_filter=0")
    asked = ["ip", "route", "get", "192.0.2.7", "from", "10.0.0.9", "iif", "v0"]
    assert subprocess.run(asked, check=False, capture_output=True).returncode == 2
    subprocess.run(clinic.findings("sysctl")[0]["cure"].split(), check=True)
    assert "via 10.1.0.2 dev v1" in subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def test_a_route_of_others_that_decides_is_deleted_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ROUTE + "metric = 10\n")
    ip("route add 10.9.0.0/16 via 10.0.0.9 metric 5")
    found = clinic.cure("shadowed")
    assert (found["entry"], found["severity"]) == ("route/a", "error")
    assert ip_json("route show 10.9.0.0/16") == []


def test_a_rule_of_others_that_decides_is_deleted_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    ip("route add 10.9.0.0/16 via 10.1.0.2 table 55")
    ip("rule add priority 50 lookup 55")
    clinic.cure("shadowed")
    assert [one for one in ip_json("rule show") if one["priority"] == 50] == []


def test_rules_that_the_kernel_makes_are_brought_back_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    ip("rule del priority 32767")
    clinic.cure("kernel-rules")
    assert 32767 in {one["priority"] for one in ip_json("rule show")}


def test_routes_of_others_in_our_table_go_by_the_cure_and_ours_stay(daemon: Daemon, clinic: Clinic) -> None:
    daemon.start(TABLE + RULE)
    clinic.write(TABLE + RULE)
    ip("route add 10.77.0.0/16 via 10.1.0.9 table 100 proto bird")
    assert "protocol bird" in clinic.cure("foreign-routes")["what"]
    assert [one["dst"] for one in ip_json("route show table 100")] == ["default"]


def test_a_rule_of_others_at_our_priority_goes_by_the_cure(clinic: Clinic) -> None:
    clinic.write(TABLE + RULE)
    ip("rule add priority 900 from 192.0.2.0/24 fwmark 0x3/0xf lookup 100")
    clinic.cure("foreign-rule")


def test_an_address_that_stands_twice_is_removed_from_the_other_link_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ADDRESS)
    ip("addr add 10.0.0.5/32 dev v1")
    assert clinic.cure("address-twice")["cure"] == "ip address del 10.0.0.5/32 dev v1"


def test_another_host_that_has_the_address_is_found_by_its_answer(clinic: Clinic) -> None:
    clinic.write(ADDRESS)
    with netns.new_namespace() as namespace:
        ip(f"link set v0p netns {namespace}")
        with netns.inside(namespace):
            ip("link set v0p up")
            ip("addr add 10.0.0.5/24 dev v0p")
            mac = ip_json("link show v0p")[0]["address"]
        netns.wait_until(lambda: "LOWER_UP" in ip_json("link show v0")[0]["flags"])
        ip("addr add 10.0.0.5/24 dev v0")
        (found,) = clinic.findings("address-elsewhere")
        line, _, where = found["cure"].partition("  # on the host with ")
        assert where == mac
        with netns.inside(namespace):
            subprocess.run(line.replace("DEV", "v0p").split(), check=True)
        assert clinic.findings("address-elsewhere") == []


def test_another_link_of_this_host_that_answers_is_no_other_host(clinic: Clinic) -> None:
    """Linux answers by each link of a network for all addresses of the host."""
    clinic.write(ADDRESS)
    ip("addr add 10.0.0.5/24 dev v0")
    Path("/proc/sys/net/ipv4/conf/v0p/arp_ignore").write_text("0")
    assert clinic.findings("address-elsewhere") == []


def test_an_ipv6_address_that_another_host_has_is_removed_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ADDRESS.replace("10.0.0.5/24", "fd00::5/64"))
    ip("addr add fd00::5/64 dev v0p nodad")
    Path("/proc/sys/net/ipv6/conf/v0/accept_dad").write_text("1")
    ip("addr add fd00::5/64 dev v0")
    netns.wait_until(lambda: "dadfailed" in ip("-6 addr show dev v0"))
    clinic.cure("address-failed")


def test_the_cures_of_a_vip_that_nobody_hears_of_make_neighbours_hear_of_it(daemon: Daemon, clinic: Clinic) -> None:
    vip = '[[vip]]\nname = "v"\naddress = "fd00::80"\nnode = "fd00::1"\nlocal = true\n'
    daemon.start(vip)
    clinic.write(vip)
    with netns.new_namespace() as namespace:
        ip(f"link set v0p netns {namespace}")
        with netns.inside(namespace):
            ip("link set v0p up")
            ip("addr add fd00::2/64 dev v0p nodad")
        assert not hears(namespace)
        sysctls = [one for one in clinic.findings("sysctl") if "keep_addr" not in one["what"]]
        assert len(sysctls) == 2
        for one in (*sysctls, *clinic.findings("vip-unanswered")):
            assert not hears(namespace)
            subprocess.run(one["cure"].split(), check=True)
        netns.wait_until(lambda: hears(namespace))
        netns.wait_until(lambda: not clinic.findings("vip-unanswered"), 10.0)


def hears(namespace: Path) -> bool:
    """Does the other host get an answer when it asks who has the VIP?"""
    with netns.inside(namespace):
        subprocess.run(["ip", "-6", "neigh", "del", "fd00::80", "dev", "v0p"], check=False, capture_output=True)
        ping = "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'', ('fd00::80', 9))"
        subprocess.run([sys.executable, "-c", ping], check=True)

        def is_settled() -> bool:
            return ip_json("-6 neigh show fd00::80 dev v0p")[0]["state"][0] not in {"INCOMPLETE", "NONE"}

        netns.wait_until(is_settled, 10.0)
        return "FAILED" not in ip_json("-6 neigh show fd00::80 dev v0p")[0]["state"]


def test_a_table_that_nobody_looks_up_gets_its_rule_by_the_cure(daemon: Daemon, clinic: Clinic) -> None:
    daemon.start(TABLE)
    clinic.config = daemon.config
    clinic.write_program("routed", f'cd {PROJECT} && exec {sys.executable} -m routed {" ".join(daemon._options)} "$@"')
    clinic.cure("table-unused")
    (rule,) = [one for one in ip_json("rule show") if one["protocol"] == "114"]
    assert (rule["src"], rule["table"]) == ("10.1.0.1", "100")


@pytest.mark.parametrize(
    ("toml", "name"),
    [(RULE + ROUTE, "table-empty"), (TABLE + MARKED + MARKED.replace('"m"', '"l"').replace("901", "950"), "rule-dead")],
)
def test_a_rule_that_does_nothing_leaves_the_files_by_the_cure(
    daemon: Daemon, clinic: Clinic, toml: str, name: str
) -> None:
    daemon.start(toml)
    clinic.write_program("routed", f'cd {PROJECT} && exec {sys.executable} -m routed {" ".join(daemon._options)} "$@"')
    before = len(ip_json("rule show"))
    clinic.cure(name)
    assert len(ip_json("rule show")) == before - 1


# --- network managers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_in", ["", "10-first.conf", "zebra.conf"])
def test_networkd_is_told_to_leave_ours_alone_by_the_cures(clinic: Clinic, drop_in: str) -> None:
    clinic.write(ROUTE + TABLE + RULE)
    index = netns.index_of("v0")
    clinic.put(
        f"run/systemd/netif/links/{index}", "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/v.network\n"
    )
    if drop_in:
        both = "[Network]\nManageForeignRoutes=yes\nManageForeignRoutingPolicyRules=yes\n"
        clinic.put(f"etc/systemd/networkd.conf.d/{drop_in}", both)
    with program(clinic.programs, "systemd-networkd"):
        for name in ("networkd-routes", "networkd-rules"):
            found = clinic.cure(name)
            assert (drop_in or "no file says") in found["where"]
    assert clinic.called.read_text().splitlines() == ["systemctl restart systemd-networkd"] * 2


def test_networkd_is_told_to_keep_addresses_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ADDRESS)
    clinic.put(
        f"run/systemd/netif/links/{netns.index_of('v0')}",
        "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/v.network\n",
    )
    clinic.put("run/systemd/network/v.network", "[Match]\nName=v0\n[Network]\nAddress=10.0.0.1/24\n")
    with program(clinic.programs, "systemd-networkd"):
        clinic.cure("networkd-addresses")


def test_networkmanager_is_told_to_leave_a_device_alone_by_the_cure(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    clinic.put("etc/NetworkManager/conf.d/site.conf", "[keyfile]\nunmanaged-devices=interface-name:v1\n")
    with program(clinic.programs, "NetworkManager"):
        clinic.cure("networkmanager-routes")
    assert clinic.called.read_text() == "nmcli general reload\n"


def test_networkmanager_is_told_to_clean_its_own_table_alone_by_the_cure(clinic: Clinic) -> None:
    clinic.write(TABLE + RULE)
    profile = clinic.root / "etc/NetworkManager/system-connections/w.nmconnection"
    clinic.put(
        "etc/NetworkManager/system-connections/w.nmconnection", "[connection]\nid=wired one\n[ipv4]\nroute-table=7\n"
    )
    clinic.write_program(
        "nmcli", f'[ "$*" = "connection modify wired one ipv4.route-table 0" ] && sed -i s/=7/=0/ {profile}'
    )
    with program(clinic.programs, "NetworkManager"):
        clinic.cure("networkmanager-tables")


def test_a_program_that_keeps_services_too_is_ended_by_the_cure(clinic: Clinic) -> None:
    clinic.write(SERVICE)
    with program(clinic.programs, "kube-proxy"):
        clinic.cure("ipvs-rival")


# --- packet filters ---------------------------------------------------------------------------------------------------


def nft(command: str) -> None:
    subprocess.run(["nft", f"add table inet f; {command}"], check=True)


@pytest.mark.parametrize(
    ("toml", "hook"),
    [
        (SERVICE, "input"),
        ('[[service]]\nname = "api"\nlisten = "[fd00::1]:53/udp"\nservers = ["[fd00::1]:54"]\n', "input"),
        ('[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = ["10.1.0.9:444"]\n', "output"),
        ('[[service]]\nname = "api"\nlisten = "10.0.0.1:443"\nservers = ["10.1.0.9:444"]\n', "forward"),
        ('[[tunnel]]\nname = "o"\ndev = "o0"\nmode = "ipip"\nlocal = "10.0.0.1"\n', "input"),
        (TABLE + RULE.replace('from = "10.1.0.1"', 'iif = "v1"\nfamily = "ipv4"'), "forward"),
        (CHECKED + 'type = "icmp"\ntargets = ["10.1.0.9"]\n', "output"),
        (CHECKED + 'type = "tcp"\ntargets = ["10.1.0.9:80"]\n', "output"),
    ],
)  # fmt: skip
def test_what_a_filter_drops_is_let_through_by_the_cure(clinic: Clinic, toml: str, hook: str) -> None:
    clinic.write(toml)
    nft(f"add chain inet f c {{ type filter hook {hook} priority 0; policy drop; }}")
    if hook == "input":  # what is forwarded or sent may be a part of a connection that the kernel knows
        nft("add rule inet f c ct state established accept")
    found = clinic.cure("firewall")
    assert found["where"] == "nft list chain inet f c: policy drop"


@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy"])
def test_what_iptables_drops_is_let_through_by_the_cure(clinic: Clinic, tool: str) -> None:
    clinic.write(SERVICE)
    mine = ("-N mine", "-A INPUT -j mine", "-A mine -i lo -j ACCEPT", "-A mine -p tcp --dport 22 -j ACCEPT")
    for words in ("-P INPUT DROP", *mine):
        subprocess.run([tool, *words.split()], check=True)
    found = clinic.cure("firewall")
    assert found["cure"] == f"{tool} -I INPUT -d 10.0.0.1 -p tcp --dport 443 -j ACCEPT"


def test_a_filter_of_what_the_files_do_not_have_is_nobodys_business(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    subprocess.run(
        ["nft", "add table inet f; add chain inet f c { type filter hook input priority 0; policy drop; }"], check=True
    )
    assert clinic.findings("firewall") == []


# --- the host ---------------------------------------------------------------------------------------------------------


def look_and_cure(clinic: Clinic, before: str) -> tuple[list[str], list[str]]:
    """Names that are found after a script, and after the first cure, all within one mount namespace."""
    take = "import json,sys; found = json.load(open(sys.argv[1]))['findings']; print(found[0]['cure'])"
    first, second = clinic.state.parent / "first", clinic.state.parent / "second"
    ask = "routed doctor --json"
    script = f'{before} && {{ {ask} >{first}; {sys.executable} -c "{take}" {first} | sh; {ask} >{second}; }}'
    answer = clinic.shell(script)
    assert second.exists(), answer.err
    told = [[one["finding"] for one in json.loads(file.read_text())["findings"]] for file in (first, second)]
    return told[0], told[1]


def test_a_state_folder_that_cannot_be_written_is_cured(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    clinic.state.mkdir()
    first, second = look_and_cure(clinic, f"mount -t tmpfs -o ro,size=64m x {clinic.state}")
    assert first[0] == "state-read-only"
    assert "state-read-only" not in second


def test_a_state_folder_that_is_nearly_full_is_cured_by_what_makes_room(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    clinic.state.mkdir()
    clinic.write_program("journalctl", f"rm {clinic.state}/big")
    before = f"mount -t tmpfs -o size=64m x {clinic.state} && head -c 60M /dev/zero >{clinic.state}/big"
    first, second = look_and_cure(clinic, before)
    assert first[0] == "state-full"
    assert "state-full" not in second


def test_a_journal_that_is_lost_at_the_next_boot_is_cured(clinic: Clinic) -> None:
    clinic.write(ROUTE)
    clinic.put("run/systemd/journal/socket")
    clinic.cure("journal-volatile")
    # behind the cure, whose name comes after those that the system brings
    clinic.put("etc/systemd/journald.conf.d/zzz.conf", "[Journal]\nStorage=volatile\n")
    assert clinic.cure("journal-volatile")["where"].startswith("/etc/systemd/journald.conf.d/zzz.conf:2:")


def test_a_revision_from_the_future_says_that_the_clock_is_behind(daemon: Daemon, clinic: Clinic) -> None:
    daemon.start(ROUTE)
    (manifest,) = daemon.state.glob("revisions/*/manifest.json")
    kept = json.loads(manifest.read_text())
    kept["saved"] += 86400
    manifest.write_text(json.dumps(kept))
    answer = daemon.ask_json("doctor")
    (found,) = [one for one in answer["findings"] if one["finding"] == "clock-behind"]
    assert (found["cure"], found["severity"]) == ("timedatectl set-ntp true", "error")


def test_a_unit_that_forbids_what_the_files_need_is_cured(clinic: Clinic) -> None:
    clinic.write('[[vip]]\nname = "v"\naddress = "10.0.0.80"\ndev = "v0"\n')
    clinic.put("run/systemd/system/x")
    drop_in = "/etc/systemd/system/routed.service.d/routed-capabilityboundingset.conf"
    shows = f'caps=cap_net_admin; grep -qs CAP_NET_RAW {drop_in} && caps="cap_net_admin cap_net_raw"'
    clinic.write_program("systemctl", f'{shows}; echo LoadState=loaded; echo "CapabilityBoundingSet=$caps"')
    found = clinic.cure("unit")
    assert found["entry"] == "vip/v"


def test_a_daemon_without_a_capability_is_told_of(daemon: Daemon) -> None:
    daemon.write('[[vip]]\nname = "v"\naddress = "10.0.0.80"\ndev = "v0"\n')
    daemon.launch(before=["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"])
    daemon.wait_until_ready()
    told = [one for one in daemon.ask_json("doctor")["findings"] if one["finding"] == "capability"]
    assert [one["entry"] for one in told] == ["vip/v"]


def test_who_may_not_look_is_told_what_was_not_seen_and_it_is_not_fine(daemon: Daemon) -> None:
    if any(not folder.stat().st_mode & stat.S_IXOTH for folder in PROJECT.parents):
        pytest.skip(f"nobody else may read {PROJECT}, and so not run what is in it")
    daemon.start(ADDRESS + '[[tunnel]]\nname = "o"\ndev = "o0"\nmode = "ipip"\nlocal = "10.0.0.1"\n')
    for folder in (daemon.folder, *daemon.folder.parents[:3]):
        folder.chmod(0o755)
    script = f"""import sys
import asyncio, routed.cli.doctor, routed.daemon.neighbours, routed.daemon.revisions
from routed.cli import main
{BECOME}
sys.exit(main(sys.argv[3:]))"""
    command = [sys.executable, "-c", script, "-", str(NOBODY), *daemon._options, "doctor"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 77, done.stdout + done.stderr
    for what in ("packet filters", "the state folder", "whether another host answers for an address"):
        assert f"not looked at: {what}" in done.stdout
    assert "sudo routed doctor" in done.stdout


# --- what is printed --------------------------------------------------------------------------------------------------


def test_the_severity_chooses_what_is_shown_and_counts(clinic: Clinic) -> None:
    clinic.write(RULE)
    for severity, code in (("note", True), ("warning", False)):
        answer = clinic.ask("--severity", severity)
        assert ("table 100 is empty" in answer.out) is code
        assert "the daemon does not run" in answer.out  # never fine
    ip("route add 10.9.0.0/16 via 10.0.0.9 metric 5")
    clinic.write(ROUTE + "metric = 10\n")
    assert clinic.ask("--severity", "error", "--quiet").code == 1


def test_every_line_has_room_in_80_columns_and_a_pasted_cure_is_one_command(clinic: Clinic) -> None:
    clinic.write(ROUTE + TABLE + RULE + ADDRESS)
    for index in map(netns.index_of, ("v0", "v1")):
        clinic.put(
            f"run/systemd/netif/links/{index}", "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/v.network\n"
        )
    with program(clinic.programs, "systemd-networkd"):
        shown = clinic.ask().out
        assert max(map(len, shown.splitlines())) <= 80
        assert clinic.shell(paste(shown, "rules that it does not know")).code == 0
        assert clinic.findings("networkd-rules") == []


def paste(shown: str, words: str) -> str:
    """The lines of a cure as somebody marks them on the screen: those below the evidence, up to the next finding."""
    _, _, rest = shown.partition(words)
    block = rest.splitlines()[1:]
    start = next(place for place, line in enumerate(block) if line[:2] == "  " and line[2] != " ")
    end = next(place for place, line in enumerate(block) if line[0] != " ")
    return "\n".join(block[start:end])


def test_each_finding_is_in_the_reference() -> None:
    page = (PROJECT / "docs/reference/commands.md").read_text()
    assert [name for name in Ailment if f"`{name}`" not in page] == []
