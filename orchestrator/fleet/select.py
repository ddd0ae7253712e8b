"""Which VMs the person asked for: shell patterns on names, without a look at what the VMs are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.vsphere.values import VirtualMachine


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as in fnmatch(3), without regard to case.

    A pattern with a ``/`` is compared with ``folder/name`` too, another with the name alone. A VM is selected
    when one of ``include`` matches (none given: all do) and none of ``exclude`` does.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, vm: VirtualMachine) -> bool:
        """Whether the VM is selected."""
        if any(_matches(vm, pattern) for pattern in self.exclude):
            return False
        return not self.include or any(_matches(vm, pattern) for pattern in self.include)


def select(vms: Iterable[VirtualMachine], selection: Selection) -> tuple[VirtualMachine, ...]:
    """The selected VMs, in the same order."""
    return tuple(vm for vm in vms if selection.takes(vm))


def unmatched(vms: Iterable[VirtualMachine], selection: Selection) -> tuple[str, ...]:
    """The ``include`` patterns that match no VM: most often a misspelt name."""
    listed = tuple(vms)
    return tuple(pattern for pattern in selection.include if not any(_matches(vm, pattern) for vm in listed))


def _matches(vm: VirtualMachine, pattern: str) -> bool:
    path = f"{vm.folder}/{vm.name}" if vm.folder else vm.name
    # A name may itself hold a slash, so such a pattern may also mean the name alone.
    candidates = (vm.name, path) if "/" in pattern else (vm.name,)
    return any(fnmatchcase(candidate.casefold(), pattern.casefold()) for candidate in candidates)
