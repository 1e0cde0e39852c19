"""Importing: what others wrote, as the file that an operator would have written.

Here belongs everything between a text of another program, or the objects of the kernel, and a file of ours. Parsers are
pure: text in, statements and leftovers out. The daemon imports nothing of it.
"""
