"""Where the members of a fleet come from: how each kind of source is asked, and what its bytes mean.

What a kind needs is imported with the first source of it. Here must never live: what becomes of a snapshot
(``core.membership``), or what of the host follows from it.
"""
