"""The daemon: the story that ties intent, kernel and core together, and the edges to the system around it.

Here live the loop, the state between passes, and the adapters (files, revisions, control socket, systemd). What is
decided belongs to ``core``, what netlink looks like to ``kernel``, what TOML looks like to ``intent``.
"""
