"""routed keeps a Linux host's routes, policy rules and addresses as its operator wrote them."""

__version__ = "0.1.0"
