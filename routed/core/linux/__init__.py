"""What Linux does by itself: the routing state of one network namespace in memory, and what becomes of it.

For a plan of what would be if something happened, and for the kernel in memory that the tests work with: both have this
one truth. ``state`` holds what stands, ``links`` and ``addresses`` say what goes and comes with them, ``requests`` what
comes of one that somebody sends, ``answers`` which way packets go then, and ``suppose`` is the table of what may be
supposed. Here must never live what routed should do about any of it. The truth of it is compared with a kernel in
``tests/kernel/test_linux.py``.
"""
