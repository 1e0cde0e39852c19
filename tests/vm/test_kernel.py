"""Tests of the checkout once more, on Debian's kernel: it differs from newer ones in places, and has more drivers."""

from __future__ import annotations

import pytest

from tests.kernel.ipvsadm import NO_IPVS
from tests.system.drivers import NO_DUMMY, NO_IPIP
from tests.vm.host import Host

# The package brings what routed needs; the code under test is the checkout.
PYTHON = "ROUTED_TEST_SLOWNESS=10 PYTHONPATH=/opt/checkout:/usr/lib/routed:/opt/tools python3"
PYTEST = f"{PYTHON} -m pytest -q -n 2 -p no:cacheprovider --timeout 600 --hypothesis-profile emulated --durations 10"


# The kernel floor, and what the drivers of links are needed for. One run of pytest, which starts slowly in there.
TESTS = (
    "tests/kernel tests/system/test_held_vip.py::TestWithTheDriver tests/system/test_tunnels.py::TestWithTheModule"
    " tests/system/test_examples.py"
)
# Left out: what is searched for at length, and what is about our end of a socket.
SEARCHING = "test_random_states", "test_random_ways", "test_linux", "test_filters"
LEFT_OUT = " and ".join(f"not {name}" for name in (*SEARCHING, "test_requests"))
CHOSEN = f"{LEFT_OUT} and (not test_examples or vip or service or overlay)"


@pytest.mark.timeout(1200)
def test_what_passes_elsewhere_passes_on_debians_kernel(host: Host) -> None:
    said = play(host, f'{TESTS} -k "{CHOSEN}"')
    assert NO_DUMMY not in said  # what is skipped elsewhere
    assert NO_IPIP not in said
    assert NO_IPVS not in said


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_any_state_of_debians_kernel_is_repaired(host: Host) -> None:
    play(host, " ".join(f"tests/kernel/{name}.py" for name in SEARCHING))


def play(host: Host, tests: str) -> str:
    """Run these in there, all of which must pass. What pytest said."""
    alone = f"unshare --net --mount sh -c 'ip link set lo up; {PYTEST} {tests}'"
    done = host.machine.run(f"modprobe -a ip_vs; cd /opt/checkout && {alone}", within=1200)
    assert done.code == 0, done.out + done.err
    return done.out
