"""One line for each name, from many workers' lines of that name. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.vsphere.values import CheckResult

SHOWN = 3
"""Of what could be thousands, a line names so many."""


def merge(results: Mapping[str, Iterable[CheckResult]], blocks: bool = True) -> tuple[CheckResult, ...]:
    """The lines of all workers; with ``blocks`` false, what keeps a worker from work is a warning."""
    by_name: dict[str, dict[str, CheckResult]] = defaultdict(dict)
    for who, lines in results.items():
        for line in lines:
            by_name[line.name][who] = line
    return tuple(_merged(name, lines, blocks) for name, lines in by_name.items())


def _merged(name: str, lines: Mapping[str, CheckResult], blocks: bool) -> CheckResult:
    wrong = {who: line for who, line in lines.items() if not line.ok}
    saying: dict[str, list[str]] = defaultdict(list)
    for who, line in (wrong or lines).items():
        saying[line.detail].append(who)
    if not wrong:
        return CheckResult(name, True, "; ".join(list(saying)[:SHOWN]))
    shown = [f"{_who(workers, len(lines))}: {detail}" for detail, workers in list(saying.items())[:SHOWN]]
    remedies = dict.fromkeys(line.remedy for line in wrong.values() if line.remedy)
    grave = blocks and any(line.blocks for line in wrong.values())
    return CheckResult(name, False, "; ".join(shown), "; ".join(remedies), blocks=grave)


def _who(workers: Sequence[str], of: int) -> str:
    return "every worker" if len(workers) == of else some(workers)


def some(names: Iterable[str], joint: str = ", ") -> str:
    """The first of the names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return joint.join(listed[:SHOWN]) + more
