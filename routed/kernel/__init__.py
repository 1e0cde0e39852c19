"""Netlink: reads and changes the kernel's routes, rules and addresses, and listens to it.

Here lives everything that knows rtnetlink's bytes and sockets; it speaks in values of ``routed.model`` and imports
nothing else of routed. Here must never live: what is wanted, what is ours, what to do about a difference.
"""
