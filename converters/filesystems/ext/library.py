"""The C interface of libext2fs, e2fsprogs' reference implementation, as far as the reader calls it.

Declared after ``ext2fs.h``, ``ext2_io.h`` and ``ext2_err.h`` of e2fsprogs 1.47. The library's soname has been
``libext2fs.so.2`` since 2000, and everything used here has been in it since 1.43.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint32, c_uint64, c_ulong, c_void_p

from converters.errors import UnsupportedError

MAGIC_IO_CHANNEL = 2133571333
MAGIC_IO_MANAGER = 2133571335
FLAG_64BITS = 0x20000
"""Opened without ``EXT2_FLAG_RW``, so never written, and without ``EXT2_FLAG_IGNORE_CSUM_ERRORS``."""

OPEN = ctypes.CFUNCTYPE(c_long, c_char_p, c_int, ctypes.POINTER(c_void_p))
CLOSE = ctypes.CFUNCTYPE(c_long, c_void_p)
SET_BLOCK_SIZE = ctypes.CFUNCTYPE(c_long, c_void_p, c_int)
READ_BLOCKS = ctypes.CFUNCTYPE(c_long, c_void_p, c_ulong, c_int, c_void_p)
READ_BLOCKS_64 = ctypes.CFUNCTYPE(c_long, c_void_p, c_uint64, c_int, c_void_p)


class IoManager(ctypes.Structure):
    """``struct struct_io_manager``: the functions through which the library reads a device."""

    _fields_ = (
        ("magic", c_long),
        ("name", c_char_p),
        ("open", OPEN),
        ("close", CLOSE),
        ("set_blksize", SET_BLOCK_SIZE),
        ("read_blk", READ_BLOCKS),
        ("write_blk", c_void_p),
        ("flush", c_void_p),
        ("write_byte", c_void_p),
        ("set_option", c_void_p),
        ("get_stats", c_void_p),
        ("read_blk64", READ_BLOCKS_64),
        ("write_blk64", c_void_p),
        ("discard", c_void_p),
        ("cache_readahead", c_void_p),
        ("zeroout", c_void_p),
        ("reserved", c_long * 14),
    )


class IoChannel(ctypes.Structure):
    """``struct struct_io_channel``: one open device."""

    _fields_ = (
        ("magic", c_long),
        ("manager", ctypes.POINTER(IoManager)),
        ("name", c_char_p),
        ("block_size", c_int),
        ("read_error", c_void_p),
        ("write_error", c_void_p),
        ("refcount", c_int),
        ("flags", c_int),
        ("reserved", c_long * 14),
        ("private_data", c_void_p),
        ("app_data", c_void_p),
        ("align", c_int),
    )


@functools.cache
def load() -> ctypes.PyDLL:
    """The library with its functions declared.

    Raises:
        UnsupportedError: the library is not installed, or the machine is big-endian: the library swaps
            what it reads to the machine's byte order, and this package's parsers take bytes as on disk.
    """
    if sys.byteorder != "little":
        raise UnsupportedError("ext file systems are read in process on little-endian machines only")
    try:
        # PyDLL keeps the GIL: the calls take about a microsecond, and giving the GIL up for each makes the
        # walk wait for the compressing threads. The Disk gives it up where the reading is done.
        library = ctypes.PyDLL("libext2fs.so.2")
    except OSError as error:
        raise UnsupportedError(
            f"libext2fs cannot be loaded: {error}", "install Debian's libext2fs2"
        ) from error
    handle, inode, block = c_void_p, c_uint32, c_uint64
    pointer_to_handle = ctypes.POINTER(c_void_p)
    pointer_to_block = ctypes.POINTER(c_uint64)
    manager = ctypes.POINTER(IoManager)
    for name, result, *arguments in (
        ("ext2fs_open2", c_long, c_char_p, c_char_p, c_int, c_int, c_uint, manager, pointer_to_handle),
        ("ext2fs_free", None, handle),
        ("ext2fs_read_inode_full", c_long, handle, inode, c_void_p, c_int),
        ("ext2fs_read_ext_attr3", c_long, handle, block, c_void_p, inode),
        ("ext2fs_group_desc_csum_verify", c_int, handle, c_uint32),
        ("ext2fs_dir_block_csum_verify", c_int, handle, inode, c_char_p),
        ("ext2fs_extent_block_csum_verify", c_int, handle, inode, c_char_p),
        ("ext2fs_block_bitmap_loc", c_uint64, handle, c_uint32),
        ("ext2fs_inode_bitmap_loc", c_uint64, handle, c_uint32),
        ("ext2fs_inode_table_loc", c_uint64, handle, c_uint32),
        (
            *("ext2fs_super_and_bgd_loc2", c_long, handle, c_uint32),
            *(pointer_to_block, pointer_to_block, pointer_to_block, ctypes.POINTER(c_uint32)),
        ),
        ("ext2fs_crc32c_le", c_uint32, c_uint32, c_char_p, c_size_t),
        ("initialize_ext2_error_table", None),
        ("error_message", c_char_p, c_long),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    library.initialize_ext2_error_table()
    return library


def message(code: int) -> str:
    """com_err(3)'s text for an ``errcode_t``."""
    text: bytes = load().error_message(code)
    return text.decode(errors="replace")
