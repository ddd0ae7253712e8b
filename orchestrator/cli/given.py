"""The machine that ``orchestrate convert`` is given: disk images, or the file that describes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from converters.descriptors.found import Descriptor
from converters.disks import DiskSource, detect
from converters.errors import DescriptorError
from converters.plan import MachineFacts
from orchestrator.errors import UsageError
from orchestrator.files import FilesOrder, files_stage
from orchestrator.fleet.assess import Verdict
from orchestrator.fleet.files import FileMark
from orchestrator.job import machine_facts
from orchestrator.settings import Settings
from orchestrator.sources.directory import described_at
from orchestrator.work import Work


@dataclass(frozen=True, slots=True)
class Given:
    """One machine, ready to be read."""

    facts: MachineFacts
    disks: tuple[DiskSource, ...]
    files: tuple[FileMark, ...] = ()
    """Files that must not change until its disks are read."""
    notes: tuple[str, ...] = ()
    """What a person should know of it, each a sentence."""


def given(paths: tuple[Path, ...], name: str, settings: Settings, scratch: Path) -> Given:
    """The machine that these paths stand for; ``name`` is its name, or of several described ones tells which.

    Raises:
        UsageError: a descriptor among others, or of several machines.
        DescriptorError: it cannot be converted as it is described.
        DiskError: an image is missing, or not readable.
    """
    described = [path for path in paths if Descriptor.of(path) is not Descriptor.NONE]
    match described, paths:
        case [], _:
            disks = tuple(detect(str(path)) for path in paths)
            return Given(MachineFacts(name or paths[0].stem), disks)
        case [path], [_]:
            return _described(path, name, settings, scratch)
        case _:
            raise UsageError(
                f"{described[0]} describes a machine with all its disks, and is not the only path",
                "give it alone, or the disks alone",
            )


def _described(path: Path, name: str, settings: Settings, scratch: Path) -> Given:
    verdict = _chosen(path, described_at(path, settings.package_digests), name)
    if verdict.files is None or not verdict.converts:
        where = "" if path.name in verdict.reason else f"{path}: "
        raise DescriptorError(f"{where}{verdict.reason}", verdict.remedy)
    work = Work("convert", path.name, 1, scratch, lambda counts: None)
    found = files_stage(FilesOrder(verdict.files, verdict.vm.disks), work)
    facts = machine_facts(verdict.vm)
    facts = replace(facts, name=name) if name else facts
    return Given(facts, found.disks, found.files, verdict.remarks)


def _chosen(path: Path, verdicts: tuple[Verdict, ...], name: str) -> Verdict:
    """The only machine, or that of several which bears the name."""
    named = [verdict for verdict in verdicts if name in (verdict.vm.name, verdict.vm.moref)]
    match verdicts, named:
        case ([only], _) | (_, [only]):
            return only
        case _:
            names = ", ".join(verdict.vm.moref for verdict in verdicts)
            raise UsageError(f"{path} describes several machines: {names}", "say which: --name NAME")
