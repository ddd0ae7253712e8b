"""What goes wrong in the reading process, on its way to the converter as data and back to an exception."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

from converters.errors import (
    ConvertError,
    DefectError,
    LimitError,
    OutputError,
    ReaderDiedError,
    ScratchFullError,
)
from converters.reader.frames import Failure

_LONGEST_TEXT = 2000
"""Characters of a message: a guest's paths may be in it."""
_PACKAGE = "converters"


def failure_of(error: Exception, memory_bytes: int) -> Failure:
    """The child's side: the error as data; one that nobody foresaw says what it is and where it arose.

    ``memory_bytes`` is the address space that the child may use.
    """
    known = _known(error, memory_bytes)
    return Failure(known.kind, known.message[:_LONGEST_TEXT], known.hint[:_LONGEST_TEXT])


def error_of(failure: Failure) -> ConvertError:
    """The converter's side: the error as the class it had there.

    Never one of the output, which the child knows nothing of; a kind that there is not is a lie, so that the
    child counts as dead.
    """
    classes = [ConvertError]
    for known in classes:
        classes.extend(kind for kind in known.__subclasses__() if kind is not OutputError)
    found = next((known for known in classes if known.kind == failure.kind), ReaderDiedError)
    return found(printable(failure.message), printable(failure.hint))


def printable(text: str) -> str:
    """Text that may come from a guest's own bytes, as it can be written to a terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _known(error: Exception, memory_bytes: int) -> ConvertError:
    match error:
        case ConvertError():
            return error
        case MemoryError():
            limit = f"the {memory_bytes >> 20} MiB it may use"
            return LimitError(f"reading the disk needs more than {limit}", "raise --reader-memory")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ScratchFullError(f"the scratch folder is full: {error}")
        case _:
            what = traceback.format_exception_only(error)[-1].strip()
            return DefectError(f"internal error: {what} ({_place(error)})")


def _place(error: Exception) -> str:
    """Where it arose: the innermost line of this package, which says more than a library's own."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parts]
    if not frames:
        return "nobody knows where"
    frame = (ours or frames)[-1]
    parts = Path(frame.filename).parts
    start = parts.index(_PACKAGE) if ours else -1
    return f"{'/'.join(parts[start:])}:{frame.lineno}, in {frame.name}"
