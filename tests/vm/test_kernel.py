"""The tests of tests/kernel once more, on Debian's kernel: it differs from newer ones in places."""

from __future__ import annotations

import pytest

from tests.vm.machine import Machine

# The package brings what routed needs; the code under test is the checkout.
PYTHON = "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/checkout:/usr/lib/routed:/opt/tools python3"
PYTEST = f"{PYTHON} -m pytest -q -n 2 -p no:cacheprovider --timeout 600 --hypothesis-profile emulated tests/kernel"


@pytest.mark.timeout(1200)
def test_all_tests_of_the_kernel_floor_pass_on_debians_kernel(machine_of_all: Machine) -> None:
    if machine_of_all.run("test -d /usr/lib/routed").code:
        machine_of_all.do("dpkg-deb --extract /opt/routed.deb /")
    done = machine_of_all.run(
        f"cd /opt/checkout && unshare --net --mount sh -c 'ip link set lo up; {PYTEST}'", within=1200
    )
    assert done.code == 0, done.out + done.err
