"""Beside systemd-networkd and NetworkManager, each of which takes away what it does not know."""

from __future__ import annotations

from tests.vm.host import LAN, SLOW, SPARE, Host

ROUTE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
RULE = '[[rule]]\npriority = 1200\nfrom = "10.20.0.11"\ntable = 120\n'
STANDS = f"10.40.0.0/16 10.20.0.1 {LAN}"
COEXIST = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
WAIT_ONLINE = "/usr/lib/systemd/systemd-networkd-wait-online --timeout 60"
MAY_LOOK = "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"


def test_what_networkd_takes_away_is_back_and_the_journal_names_it(host: Host) -> None:
    host.use_networkd()
    host.drop_in(MAY_LOOK)
    host.start(ROUTE + RULE)
    host.do("systemctl restart systemd-networkd", within=SLOW)
    host.wait_for_record("ROUTED_EVENT=repaired", "ROUTED_ENTRY=route/storage-lan")
    host.wait_for_routes(STANDS)
    host.wait_until("ip rule show priority 1200 | grep 120")
    host.wait_for_record("ROUTED_ACTOR_COMM=systemd-network")


def test_with_the_coexistence_settings_networkd_takes_nothing_away(host: Host) -> None:
    host.write("/etc/systemd/networkd.conf.d/routed.conf", COEXIST)
    host.use_networkd()
    host.start(ROUTE + RULE)
    host.do("systemctl restart systemd-networkd && networkctl reload", within=SLOW)
    host.do(f"{WAIT_ONLINE} -i {LAN}")
    assert host.messages("ROUTED_EVENT=repaired") == []
    assert host.routes() == [STANDS]


def test_what_goes_with_an_address_that_networkd_sets_anew_is_back_with_it(host: Host) -> None:
    host.write("/etc/systemd/networkd.conf.d/routed.conf", COEXIST)
    host.use_networkd()
    host.start(ROUTE + RULE)
    host.do(f"networkctl reconfigure {LAN}", within=SLOW)
    record = host.wait_for_record("ROUTED_EVENT=repaired")
    assert "dropped by the kernel (address 10.20.0.11/21 of enp0s16 was removed)" in record["MESSAGE"]
    host.do(f"{WAIT_ONLINE} -i {LAN}")
    host.wait_for_routes(STANDS)
    assert len(host.journal("ROUTED_EVENT=repaired")) == 1


def test_networkmanager_going_up_and_down_costs_nothing_that_does_not_come_back(host: Host) -> None:
    host.do("systemctl start NetworkManager", within=SLOW)
    host.do(f"nmcli device set {LAN} managed no")
    host.do(f"nmcli connection add type ethernet con-name spare ifname {SPARE} ip4 10.60.0.11/24 autoconnect no")
    host.do("nmcli connection up spare", within=SLOW)
    host.start(ROUTE + '[[route]]\nname = "spare"\nto = "10.61.0.0/16"\nvia = "10.60.0.1"\n' + RULE)
    both = (STANDS, f"10.61.0.0/16 10.60.0.1 {SPARE}")
    host.wait_for_routes(*both)
    host.do("nmcli connection down spare", within=SLOW)
    host.wait_for_routes(STANDS)
    host.do("nmcli connection up spare", within=SLOW)
    host.wait_for_routes(*both)
    host.do(f"nmcli device reapply {SPARE}", within=SLOW)
    host.wait_for_routes(*both)
    host.do("nmcli connection delete spare")
