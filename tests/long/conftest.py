"""The fixtures of the tests of a daemon as a process; these here take long."""

from tests.system.conftest import daemon, network

__all__ = ["daemon", "network"]
