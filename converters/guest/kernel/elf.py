"""Notes of a C library's ELF file: the oldest kernel and the processors it was built for.

Sources: elf(5); the Linux Standard Base, section "ABI note tag"; the x86-64 psABI, sections "Program
property" and "Micro-architecture levels".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_BITS_64 = 2
_BIG_ENDIAN = 2
_PT_NOTE = 4
_NT_GNU_ABI_TAG = 1
_NT_GNU_PROPERTY = 5
_LINUX = 0
_X86_ISA_1_NEEDED = 0xC0008002
_MOST_HEADERS = 64
_MOST_NOTES = 64
_MOST_PROPERTIES = 64


@dataclass(frozen=True, slots=True)
class AbiNotes:
    """What an ELF file says of the systems it runs on."""

    minimum: str = ""
    """The oldest kernel: ``3.2.0``."""
    level: int = 0
    """x86-64 level that it needs; 0 where it says none."""


def abi_notes(elf: bytes) -> AbiNotes:
    """The notes of an ELF file given from its beginning; nothing where it is none, or damaged."""
    try:
        minimum, level = "", 0
        for owner, kind, content in _notes(elf):
            if owner != b"GNU\0":
                continue
            if kind == _NT_GNU_ABI_TAG and len(content) >= 16:
                system, *version = struct.unpack_from(_order(elf) + "4I", content)
                minimum = ".".join(map(str, version)) if system == _LINUX else ""
            elif kind == _NT_GNU_PROPERTY:
                level = max(level, _level(elf, content))
        return AbiNotes(minimum, level)
    except struct.error:
        return AbiNotes()


def _order(elf: bytes) -> str:
    return ">" if elf[5:6] == bytes([_BIG_ENDIAN]) else "<"


def _notes(elf: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Owner, type and content of each note, of all note segments."""
    if elf[:4] != b"\x7fELF" or len(elf) < 52:
        return
    order, wide = _order(elf), elf[4] == _BITS_64
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), elf, 32 if wide else 28)
    size, count = struct.unpack_from(order + "2H", elf, 54 if wide else 42)
    for number in range(min(count, _MOST_HEADERS)):
        header = table + number * size
        if header > len(elf):
            return
        if struct.unpack_from(order + "I", elf, header)[0] != _PT_NOTE:
            continue
        if wide:
            start, _, _, length = struct.unpack_from(order + "4Q", elf, header + 8)
            (alignment,) = struct.unpack_from(order + "Q", elf, header + 48)
        else:
            start, _, _, length = struct.unpack_from(order + "4I", elf, header + 4)
            (alignment,) = struct.unpack_from(order + "I", elf, header + 28)
        yield from _of_segment(elf[start : start + length], order, 8 if alignment == 8 else 4)


def _of_segment(segment: bytes, order: str, alignment: int) -> Iterator[tuple[bytes, int, bytes]]:
    position = 0
    for _ in range(_MOST_NOTES):
        if position + 12 > len(segment):
            return
        owner_size, size, kind = struct.unpack_from(order + "3I", segment, position)
        owner = segment[position + 12 : position + 12 + owner_size]
        start = _aligned(position + 12 + owner_size, alignment)
        yield owner, kind, segment[start : start + size]
        position = _aligned(start + size, alignment)


def _level(elf: bytes, content: bytes) -> int:
    """The highest x86-64 level among the properties: bit 0 is the baseline, bit 1 is v2…"""
    order, alignment = _order(elf), 8 if elf[4] == _BITS_64 else 4
    position = 0
    for _ in range(_MOST_PROPERTIES):
        if position + 8 > len(content):
            break
        kind, size = struct.unpack_from(order + "2I", content, position)
        if kind == _X86_ISA_1_NEEDED and size == 4:
            (bits,) = struct.unpack_from(order + "I", content, position + 8)
            return bits.bit_length() if bits.bit_length() > 1 else 0
        position = _aligned(position + 8 + size, alignment)
    return 0


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
