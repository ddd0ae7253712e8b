"""Linux software RAID (md): arrays of a guest's disks, and where their data lie."""

from converters.volumes.md.arrays import MEMBER, Arrays, MdArray, find_arrays

__all__ = ["MEMBER", "Arrays", "MdArray", "find_arrays"]
