"""What can go wrong at the simulated vCenter, as values; the same words as in ``simulator/*.go``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to happen to calls of ``method``; see ``rules.go``."""

    method: str
    stage: str = "call"
    """``call``: the call itself; ``task``: the task it starts; ``after``: that task, when its work is done;
    ``reply``: it works, its answer is lost."""
    object: str = ""
    """Moref or name of the object or its VM; empty: any."""
    fault: str = ""
    """vSphere's name of a fault: ``TaskInProgress``, ``ApplicationQuiesceFault``…"""
    drop: bool = False
    """Close the connection without an answer, the call not done."""
    delay_ms: int = 0
    """Milliseconds that call or task waits first."""
    quiesced_only: bool = False
    unmerged: bool = False
    """After the task the VM's disks need consolidation."""
    skip: int = 0
    """How many matching calls pass first."""
    count: int = 0
    """How many are hit; 0: all."""


@dataclass(frozen=True, slots=True)
class Download:
    """What is to happen to downloads of a VM's disks."""

    vm: str = ""
    """Name; empty: any."""
    cut_after: int = 0
    """Bytes after which the connection breaks; 0: never."""
    end_after: int = 0
    """Bytes after which the answer ends as if it were whole; 0: never."""
    flip_at: int = 0
    """Position of a byte that is damaged on the way; 0: none."""
    rate: int = 0
    """Bytes a second; 0: as fast as it goes."""
    status: int = 0
    """HTTP status instead of the disk; 0: none."""
    count: int = 0
    """How many downloads are hit; 0: all."""
