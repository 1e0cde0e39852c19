"""Decisions: what an entry comes to, how the kernel differs, what to do about it, and when.

Everything here is pure: a value in, a value out, the clock passed in. It must never do I/O, log, or know netlink, TOML
or asyncio, and it imports ``routed.model`` only.
"""
