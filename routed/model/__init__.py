"""Values: what an address, a route, a rule is, and what can happen to one.

Here live frozen values and the pure functions that build, compare and print them, with the standard library alone.
Here must never live: I/O, the clock, asyncio, logging, anything that knows netlink or TOML.
"""
