"""What an operator fears about a reboot: that routes are gone (sealos#483), late, or another file's."""

from __future__ import annotations

from tests.vm.host import LAN, SAN, Host

ROUTES = (
    '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
    '[[vip]]\nname = "apiserver"\naddress = "10.103.97.2"\nnode = "10.30.0.11"\nwhen = "always"\n'
    '[[rule]]\npriority = 1200\nfrom = "10.20.0.11"\ntable = 120\n'
)
STAND = (f"10.40.0.0/16 10.20.0.1 {LAN}", f"10.103.97.2 10.30.0.11 {SAN}")
# A unit that starts when network.target is reached, as those do that need the network.
PROBE = """[Unit]
DefaultDependencies=no
Requires=network.target
After=network.target
[Service]
Type=oneshot
ExecStart=sh -c 'ip route show proto routed >/var/tmp/probe; ip rule show priority 1200 >>/var/tmp/probe'
[Install]
WantedBy=multi-user.target
"""


def test_after_a_reboot_everything_is_there_before_the_network_target(host: Host) -> None:
    host.use_networkd()
    host.write("/etc/systemd/system/probe.service", PROBE)
    host.start(ROUTES)
    host.do("systemctl --quiet enable routed probe")
    try:
        host.machine.reboot()
    finally:
        host.do("systemctl --quiet disable probe && rm /etc/systemd/system/probe.service")
    seen = host.do("cat /var/tmp/probe")
    for there in ("10.40.0.0/16 via 10.20.0.1", "10.103.97.2 via 10.30.0.11", "from 10.20.0.11 lookup 120"):
        assert there in seen
    ready, network = (int(host.show("ActiveEnterTimestampMonotonic", unit)) for unit in ("routed", "network.target"))
    assert 0 < ready <= network
    assert host.routes() == sorted(STAND)


def test_after_a_power_cut_a_bad_file_leaves_the_last_good_one_in_force(host: Host) -> None:
    host.use_networkd()
    host.start(ROUTES)
    host.do("systemctl --quiet enable routed")
    host.configure("[[route]]\nto = 10.40.0.0/16\n")
    host.do("sync /etc/routed.toml /etc/systemd/system/multi-user.target.wants /etc/systemd/network/*")
    host.machine.cut_power()
    host.wait_for_routes(*STAND)
    assert host.show("ActiveState") == "active"
    assert "/etc/routed.toml:5:" in "\n".join(host.messages("ROUTED_EVENT=config-rejected"))
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(*STAND)
