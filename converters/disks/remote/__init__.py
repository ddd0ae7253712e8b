"""Disks that lie on another machine, brought within reach of a process without network: no copy is made."""

from converters.disks.remote.hand import AtHand, Limits, at_hand
from converters.disks.remote.values import HttpRange, RemoteDisk, RemoteExtent, RemoteLayer

__all__ = ["AtHand", "HttpRange", "Limits", "RemoteDisk", "RemoteExtent", "RemoteLayer", "at_hand"]
