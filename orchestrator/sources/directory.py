"""A folder as a source: machines are files, nothing is asked of a vCenter, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from converters.descriptors.describer import Describer
from converters.descriptors.found import Descriptor, FoundMachine
from converters.descriptors.package import Verification
from converters.errors import DiskError
from orchestrator.errors import UsageError
from orchestrator.files import mark
from orchestrator.fleet.assess import Finding, Obstacle, Verdict, assess_files
from orchestrator.fleet.files import FileMark, MachineFiles
from orchestrator.fleet.machine import Fleet
from orchestrator.job import Publisher
from orchestrator.sources.base import Access, Errand, Stock
from orchestrator.sources.locks import lock_of
from orchestrator.sources.machine import virtual_machine
from orchestrator.sources.tree import read_tree
from orchestrator.vsphere.values import CheckResult, Inventory, Lease, VirtualMachine


class DirectorySource:
    """The machines below one folder."""

    def __init__(self, folder: Path, verification: Verification) -> None:
        """Raises ``UsageError`` where it is no folder."""
        if not folder.is_dir():
            raise UsageError(f"--source: {folder} is no folder", "name the folder that holds the machines")
        self._root = folder.resolve()
        self._verification = verification
        self._found: dict[str, FoundMachine] = {}
        self._marks: dict[str, tuple[FileMark, ...]] = {}

    def stock(self) -> Stock:
        """Every machine below the folder; those that cannot be read too."""
        tree = read_tree(self._root, self._verification)
        vms = []
        for found in tree.machines:
            moref = self._name(found)
            found, marks = _marked(found)
            self._found[moref], self._marks[moref] = found, marks
            vms.append(virtual_machine(found, moref, self._root, marks))
        where = str(self._root)
        inventory = Inventory(where, where, tuple(vms), hosts=(), datastores=())
        return Stock(f"directory:{where}", inventory, tree.notes)

    def _name(self, found: FoundMachine) -> str:
        path = str(Path(found.path).relative_to(self._root))
        return f"{path}#{found.identifier}" if found.identifier else path

    def verdicts(self, vms: Iterable[VirtualMachine]) -> tuple[Verdict, ...]:
        """See ``Source``."""
        return tuple(_verdict(vm, self._found[vm.moref], self._marks[vm.moref]) for vm in vms)

    def lacking(self, vms: Iterable[VirtualMachine], inventory: Inventory) -> tuple[CheckResult, ...]:
        """Nothing: a file that cannot be opened is its machine's trouble."""
        return ()

    @contextmanager
    def access(self, errand: Errand, stock: Stock) -> Iterator[Access]:
        """The right to publish; the files are the workers' to open."""
        yield _DirectoryAccess(errand)


def described_at(path: Path, verification: Verification) -> tuple[Verdict, ...]:
    """The verdicts on the machines of one descriptor, whose files lie in its folder or below."""
    root = path.resolve().parent
    verdicts = []
    with Describer(root, verification) as describer:
        machines = describer.machines(path.resolve())
    for found in machines:
        marked, marks = _marked(found)
        verdicts.append(_verdict(virtual_machine(marked, found.identifier, root, marks), marked, marks))
    return tuple(verdicts)


class _NoLeases:
    """There are none to keep."""

    def report_progress(self, lease: Lease, received: int) -> None:
        """Nothing to report to."""

    def leave(self, seconds: float) -> None:
        """Nothing to let go of."""


class _DirectoryAccess:
    """A folder while a run is at work."""

    def __init__(self, errand: Errand) -> None:
        self.keeper = _NoLeases()
        self.control = Publisher(errand.run, errand.open_output)

    def attending(self, fleet: Fleet, vms: Mapping[str, VirtualMachine]) -> AbstractContextManager[None]:
        """Nothing happens to files that a worker would not notice."""
        return nullcontext()

    def settle(self) -> None:
        """Nothing is left to do."""


def _marked(found: FoundMachine) -> tuple[FoundMachine, tuple[FileMark, ...]]:
    """The states of a machine's files; one that has just gone is its trouble."""
    marks = []
    for name in found.files:
        try:
            marks.append(mark(name))
        except OSError as error:
            trouble = DiskError(f"{name} cannot be looked at: {error.strerror}", "check the source folder")
            return replace(found, trouble=found.trouble or trouble), ()
    return found, tuple(marks)


def _verdict(vm: VirtualMachine, found: FoundMachine, marks: tuple[FileMark, ...]) -> Verdict:
    if (finding := _hindrance(found)) is not None:
        return Verdict(vm, *finding)
    verdict = assess_files(vm)
    disks = tuple((disk.described.address.key, disk.source) for disk in found.disks)
    files = MachineFiles(disks, marks, found.checks)
    return replace(verdict, files=files, remarks=tuple(_remarks(found)))


def _hindrance(found: FoundMachine) -> Finding | None:
    """Why a machine cannot be converted, as far as its files tell; what its guest is, other rules judge."""
    if found.trouble is not None:
        return Obstacle.UNREADABLE, found.trouble.message, found.trouble.hint
    if found.machine.encrypted:
        remedy = "remove the encryption where the machine's key is, then copy it again"
        return Obstacle.ENCRYPTED, "the machine is encrypted", remedy
    if lock := lock_of(found.files):
        remedy = "power the machine off, or remove the lock if none runs from these files"
        return Obstacle.IN_USE, f"the machine is in use, or was when it was copied: {lock} is there", remedy
    return None


def _remarks(found: FoundMachine) -> Iterator[str]:
    """What a person should know of a machine that is converted."""
    machine = found.machine
    if machine.suspended:
        yield "it was suspended: what it had only in memory is not in its image"
    if machine.cpu.limit is not None or machine.cpu.reservation:
        yield "its CPU limit and reservation are in MHz of a host that is not known, and do not count"
    if found.descriptor is Descriptor.NONE:
        yield "a disk image alone: its CPUs and memory are not known"
    yield from machine.notes
