"""Packages of the Red Hat and SUSE families: rpm's database in each of its formats, read in process.

The blob of a package is the same in all: its header. No program of the host touches the guest's database.
"""
