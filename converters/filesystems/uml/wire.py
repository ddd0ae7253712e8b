"""What a session and its agent say to each other over a serial line; both sides import this.

Frames of a length and as many bytes. A request is a letter and its fields, each with its length; answers are
``+`` for the last frame, ``~`` where more follow, ``-`` for an error in words. The agent has this module in
its RAM disk, and hardly more of Python's library than the interpreter, so it imports little.
"""

from __future__ import annotations

import struct

LENGTH = struct.Struct("<I")
STATUS = struct.Struct("<QQIIIIqIQIIHHI")
"""Device, inode, mode, links, owner, group, seconds and nanoseconds of the last change, size, device numbers,
number of extended attributes, lengths of name and target; then both, then each attribute's lengths, name and
value."""
ATTRIBUTE = struct.Struct("<HI")
DEVICE = struct.Struct("<QI")
"""Size in bytes, length of what follows: path, ``=``, name."""

LAST, MORE, FAILED = b"+", b"~", b"-"
ASSEMBLE, MOUNT, REPLAY, LIST, LOOK, READ, END = b"A", b"M", b"V", b"L", b"S", b"R", b"Q"

PIECE_BYTES = 1024
"""Of a request, sent at once: the line loses what it has no room for (4 KiB). Each piece but the last is
acknowledged by an empty frame."""
FRAME_BYTES = 256 << 10
"""About as much of a directory in one frame."""
PAGE_BYTES = 4 << 20
"""Of a directory in one answer, at least; what follows is asked for anew, and there is none after a shorter
one."""
LARGEST_READ = 4 << 20
