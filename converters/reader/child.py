"""The reading process: opens the disks it was assigned, says what the guest is, and streams its tree as tar.

It holds no credentials, has no network and belongs to nobody but its parent, which ends it whenever it likes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from converters import headway
from converters.errors import ConvertError
from converters.filesystems.base import Entry, Filesystem, Kind
from converters.filesystems.mounts import open_guest
from converters.filesystems.tree import GuestTree
from converters.guest.facts import Directory, Inspection
from converters.guest.inspect import inspect
from converters.image.clean import Cleaner
from converters.image.removals import RemovalTally
from converters.image.rules import Rule, select, swap_rule
from converters.image.tar import tar_stream
from converters.reader import reach
from converters.reader.confine import confine
from converters.reader.failures import failure_of
from converters.reader.frames import (
    ERROR,
    INSPECTION,
    SECRETS,
    SOCKETS,
    SUMMARY,
    Assignment,
    FrameWriter,
    HeldContents,
    Order,
    Summary,
)
from converters.reader.held import Holder
from converters.reader.measure import Measure
from converters.reading import Reading
from converters.volumes.luks.keys import KeyFolder


def main() -> int:
    """Serve one parent over standard input and output; the exit status."""
    channel = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not land between frames
    writer = FrameWriter(channel)
    # The one pickle of the protocol comes from the parent, which is trusted.
    assignment: Assignment = pickle.load(sys.stdin.buffer)
    memory = assignment.reading.memory_bytes
    try:
        confine(
            memory, reach.rules(assignment.disks, assignment.reading, assignment.scratch, os.environ[SOCKETS])
        )
        with headway.watched(writer.sign_of_life):
            serve(assignment, writer)
    except BrokenPipeError:  # the parent wants no more
        return 1
    except Exception as error:
        if not isinstance(error, ConvertError):
            traceback.print_exc()
        send(writer, ERROR, failure_of(error, memory))
    return 0


def serve(assignment: Assignment, writer: FrameWriter) -> None:
    """Inspect the guest, then stream its tree if the parent wants it.

    Raises:
        ConvertError: there is nothing to convert, or it cannot be read exactly.
    """
    reading = assignment.reading
    keys = KeyFolder(Path(reading.luks_keys) if reading.luks_keys else None)
    with open_guest(assignment.disks, Path(assignment.scratch), reading, keys, reading.limits) as tree:
        guest = inspect(tree)
        found = Inspection(
            guest, tree.mounts, tree.step_downs, tree.notes, tuple(tree.unread), tree.unmounted
        )
        send(writer, INSPECTION, found)
        try:
            order: Order = pickle.load(sys.stdin.buffer)
        except EOFError:  # the parent wanted to know the guest, and no more
            return
        holder = Holder(tree, order.held)
        if order.held:
            send(writer, SECRETS, HeldContents(tuple(holder.contents())))
        send(writer, SUMMARY, stream(tree, rules(tree, reading), order, writer, holder))


def rules(tree: GuestTree, reading: Reading) -> tuple[Rule, ...]:
    """What is left out of this guest's image."""
    chosen = select(reading.keep, reading.clean)
    return (*chosen, swap_rule(tree.swap_files)) if tree.swap_files else chosen


def stream(
    tree: Filesystem, cleaning: tuple[Rule, ...], order: Order, writer: FrameWriter, holder: Holder
) -> Summary:
    """Write the cleaned tree as tar; what became of it."""
    tally = RemovalTally()
    shown = holder.without(headway.counted(tree.walk()), tally)
    measure = Measure(order.measured)
    kept = with_directories(measure.counted(Cleaner(cleaning).clean(shown, tally)), order.directories)
    archive = tar_stream(kept, tree.read, tally)
    write = writer.write
    while True:
        try:
            write(next(archive))
        except StopIteration as end:
            writer.flush()
            return Summary(end.value, tally.removals(), measure.sizes)


def with_directories(entries: Iterable[Entry], directories: Iterable[Directory]) -> Iterator[Entry]:
    """The entries of a walk, then those directories that were not among them."""
    missing = {os.fsencode(item.path.strip("/")): item for item in directories}
    for entry in entries:
        missing.pop(entry.path, None)
        yield entry
    for path, item in missing.items():
        yield Entry(path, Kind.DIRECTORY, item.mode, item.uid, item.gid, 0, 0, 0, 2)


def send(writer: FrameWriter, kind: bytes, value: Any) -> None:
    """A value as a frame of JSON; characters that JSON cannot hold as escapes."""
    text = json.dumps(dataclasses.asdict(value), ensure_ascii=True)
    writer.send(kind, text.encode("ascii"))


if __name__ == "__main__":
    sys.exit(main())
