"""Reads a guest's disks in a child process of its own, because a disk is untrusted input.

``parent.Reader`` is the converter's side, ``child`` the process; ``frames`` is what goes between them.
"""
