"""Fixtures of the tests that speak with the real kernel, each in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from routed.kernel.kernel import Kernel
from tests.kernel import netns


class Network(NamedTuple):
    """A private network namespace with two veth pairs, with one address of each family on both."""

    v0: int  # ifindex; 10.0.0.1/24 and fd00::1/64
    v1: int  # ifindex; 10.1.0.1/24 and fd01::1/64


@pytest.fixture
def network() -> Iterator[Network]:
    with netns.private_network():
        v0, v1 = netns.veth("v0", "10.0.0.1/24", "fd00::1/64"), netns.veth("v1", "10.1.0.1/24", "fd01::1/64")
        netns.wait_until_quiet(links=4)
        yield Network(v0, v1)


@pytest.fixture
def kernel(network: Network) -> Iterator[Kernel]:
    with Kernel() as opened:
        yield opened
