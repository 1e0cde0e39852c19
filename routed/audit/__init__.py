"""Audit: what happened, said so that a person and a program can act on it.

Here live the catalogue of messages, the pure step from outcomes to records, the filter that keeps them from repeating,
the places they are written to, and the JSON documents of a plan. Here must never live a decision about what to do, or
anything that reads the kernel or the files.
"""
