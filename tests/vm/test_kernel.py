"""Tests of the checkout once more, on Debian's kernel: it differs from newer ones in places, and has more drivers."""

from __future__ import annotations

import pytest

from tests.system.drivers import NO_DUMMY
from tests.vm.host import Host

# The package brings what routed needs; the code under test is the checkout.
PYTHON = "ROUTED_TEST_SLOWNESS=10 PYTHONPATH=/opt/checkout:/usr/lib/routed:/opt/tools python3"
PYTEST = f"{PYTHON} -m pytest -q -n 2 -p no:cacheprovider --timeout 600 --hypothesis-profile emulated --durations 10"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "tests",
    [
        pytest.param("tests/kernel", id="the kernel floor"),
        pytest.param("tests/system/test_held_vip.py::TestWithTheDriver", id="VIPs on dummy interfaces"),
        pytest.param("tests/system/test_examples.py -k vip", id="examples of VIPs, on a dummy interface too"),
    ],
)
def test_what_passes_elsewhere_passes_on_debians_kernel(host: Host, tests: str) -> None:
    done = host.machine.run(
        f"cd /opt/checkout && unshare --net --mount sh -c 'ip link set lo up; {PYTEST} {tests}'", within=1200
    )
    assert done.code == 0, done.out + done.err
    assert NO_DUMMY not in done.out  # what is skipped elsewhere
