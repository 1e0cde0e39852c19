"""The questions of checks: one module a type, one coroutine each, that says what came of it.

Here belongs how something is asked over the wire, and what its answer means. When it is asked, and what the answers of
a while come to, stand in ``daemon.prober`` and ``core.health``. Nothing here is imported before
a file has such a check.
"""
