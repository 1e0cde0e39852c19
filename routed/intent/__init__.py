"""Intent: what the operator wrote, from bytes to ``model.entries.Intent``, and back to TOML.

Here live the files, their schema, their names and every complaint about them, each with its file, line and column.
Here must never live: anything that reads the kernel, the clock, or a decision about what to do.
"""

from routed.intent.plugins import forbid_plugins

forbid_plugins()
