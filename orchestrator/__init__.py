"""Finds the VMs of a vSphere datacenter and drives each through snapshot, export, conversion and release."""

__version__ = "0.1.0"
