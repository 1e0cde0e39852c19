"""What holds for every test. Fixtures stand beside the tests that use them."""

from __future__ import annotations

import signal

from hypothesis import settings

# A machine that is busy with something else must not fail a property: time is pytest-timeout's to judge. A change is
# judged by the same examples each time: what others may find is no matter of that change.
settings.register_profile("routed", deadline=None, print_blob=True, derandomize=True)
# Other examples each time, and more of them: make test-long.
settings.register_profile("searching", deadline=None, print_blob=True, max_examples=500)
# For a processor in software: --hypothesis-profile=emulated.
settings.register_profile("emulated", settings.get_profile("routed"), max_examples=10)
settings.load_profile("routed")

# A shell has its background jobs ignore Ctrl-C, and nohup a hang-up, and so would every program that a test starts and
# interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
