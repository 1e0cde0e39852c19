"""Tests of the checkout once more, on Debian's kernel: it differs from newer ones in places, and has more drivers."""

from __future__ import annotations

import pytest

from tests.kernel.ipvsadm import NO_IPVS
from tests.system.drivers import NO_DUMMY
from tests.vm.host import Host

# The package brings what routed needs; the code under test is the checkout.
PYTHON = "ROUTED_TEST_SLOWNESS=10 PYTHONPATH=/opt/checkout:/usr/lib/routed:/opt/tools python3"
PYTEST = f"{PYTHON} -m pytest -q -n 2 -p no:cacheprovider --timeout 600 --hypothesis-profile emulated --durations 10"


# The kernel floor, and what a dummy driver is needed for. One run of pytest, which starts slowly in there.
TESTS = "tests/kernel tests/system/test_held_vip.py::TestWithTheDriver tests/system/test_examples.py"
CHOSEN = "not test_examples or vip"


@pytest.mark.timeout(1200)
def test_what_passes_elsewhere_passes_on_debians_kernel(host: Host) -> None:
    tests = f'{PYTEST} {TESTS} -k "{CHOSEN}"'
    done = host.machine.run(
        f"modprobe -a ip_vs; cd /opt/checkout && unshare --net --mount sh -c 'ip link set lo up; {tests}'", within=1200
    )
    assert done.code == 0, done.out + done.err
    assert NO_DUMMY not in done.out  # what is skipped elsewhere
    assert NO_IPVS not in done.out
