"""Linux software RAID (md): arrays of a guest's disks, and where their data lie."""

from converters.volumes.md.arrays import Arrays, MdArray, find_arrays

__all__ = ["Arrays", "MdArray", "find_arrays"]
