"""Partitions and volumes of a disk, and what each holds."""

from converters.volumes.base import Content, Volume
from converters.volumes.partitions import Scheme, VolumeTable, read_volumes
from converters.volumes.probe import probe

__all__ = ["Content", "Scheme", "Volume", "VolumeTable", "probe", "read_volumes"]
