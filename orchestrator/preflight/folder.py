"""What ``orchestrate check`` finds out about a folder of machines."""

from __future__ import annotations

from orchestrator.fleet.files import FileMark
from orchestrator.fleet.select import Selection, select
from orchestrator.preflight.order import sample
from orchestrator.preflight.vcenter import counted
from orchestrator.sources.base import Source
from orchestrator.vsphere.values import CheckResult


def check_folder(
    source: Source, selection: Selection
) -> tuple[tuple[CheckResult, ...], tuple[FileMark, ...]]:
    """How many machines can be converted, what was left out, and files that each worker has to see."""
    stock = source.stock()
    verdicts = source.verdicts(select(stock.inventory.vms, selection))
    notes = tuple(
        CheckResult("left out", False, note, "see that nothing of it is wanted", blocks=False)
        for note in stock.notes
    )
    wanted = [verdict for verdict in verdicts if verdict.converts]
    files = sample(verdict.files for verdict in wanted if verdict.files is not None)
    return (counted(len(wanted), len(stock.inventory.vms)), *notes), files
