"""Which workers are as a run needs them, and what to say of the others. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from orchestrator.cluster import PRODUCT, RollCall
from orchestrator.fleet.states import Failure
from orchestrator.preflight import hosts, resources
from orchestrator.preflight.lines import merge, some
from orchestrator.preflight.needs import Needs
from orchestrator.probe.worker import Probed
from orchestrator.report import text
from orchestrator.skew import clock
from orchestrator.vsphere.values import CheckResult

WORKERS = "workers"
START_WORKERS = "start workers: `dask worker SCHEDULER --resources convert=1 --nthreads 1`"
SAME_VERSIONS = "start scheduler and workers from the same image or virtual environment as this command"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the workers' answers come to."""

    results: tuple[CheckResult, ...]
    """One line for what all of them tell."""
    unfit: Mapping[str, str]
    """Workers that get no VM, and why."""
    fit: frozenset[str]
    out: Mapping[str, str]
    """ESXi hosts that the fit workers do not reach, and why."""


def judge(roll: RollCall, needs: Needs, out: Collection[str] | None = None) -> Judged:
    """Judge the workers; ``out`` are hosts that are given up already, None when none has been tried."""
    if not roll.workers:
        none = CheckResult(WORKERS, False, "none has the Dask resource `convert`", START_WORKERS)
        return Judged((none,), {}, frozenset(), {})
    probed = {who: answer for who, answer in roll.answers.items() if isinstance(answer, Probed)}
    lines = _lines(roll, probed, needs)
    unfit = {who: why for who in roll.workers if (why := _objection(roll, who, lines.get(who, ())))}
    # Who gets no VM anyway must not decide which hosts are used, unless nobody is left to decide.
    counting = {who: one.reach for who, one in probed.items() if who not in unfit}
    found = hosts.reachable(counting or {who: one.reach for who, one in probed.items()}, out)
    for who, missed in found.apart.items():
        lines[who].append(hosts.misses(missed))
        unfit.setdefault(who, _objection(roll, who, lines[who]))
    fit = frozenset(roll.workers) - unfit.keys()
    results = [_count(roll, fit, unfit), replace(versions(roll), blocks=not fit)]
    if needs.hosts and probed:
        results.append(hosts.tell(needs.hosts, found))
    return Judged((*results, *merge(lines, blocks=not fit)), unfit, fit, found.out)


def _lines(roll: RollCall, probed: Mapping[str, Probed], needs: Needs) -> dict[str, list[CheckResult]]:
    """What each worker that was asked has to say, but for its versions."""
    lines = {who: list(answer.results) for who, answer in probed.items()}
    spaces = {who: one.space for who, one in probed.items() if one.space}
    machines = {who: one.memory for who, one in probed.items()}
    for shared in (resources.room(spaces, needs.sizes), resources.memory(machines, roll.memory)):
        for who, result in shared.items():
            lines[who].append(result)
    for who, one in probed.items():
        if who in roll.asked:
            lines[who].append(
                clock("clock", one.clock - roll.asked[who], "the worker's clock", "this machine's")
            )
    for who, answer in roll.answers.items():
        if isinstance(answer, Failure):
            lines[who] = [CheckResult("answer", False, answer.message, answer.hint)]
    return lines


def _count(roll: RollCall, fit: frozenset[str], unfit: Mapping[str, str]) -> CheckResult:
    count = len(roll.workers)
    if len(fit) == count:
        return CheckResult(WORKERS, True, f"{count} of {count} can convert")
    shown = some((f"{who} gets no VM: {why}" for who, why in unfit.items()), "; ")
    detail = f"{len(fit)} of {count} can convert" + (f"; {shown}" if shown else "")
    return CheckResult(WORKERS, False, detail, "see the lines below", blocks=not fit)


def _objection(roll: RollCall, who: str, lines: Collection[CheckResult]) -> str:
    """Why a worker must not get a VM; empty when it may."""
    if different := _of_worker(roll, who):
        return different[0]
    if different := _of_scheduler(roll):
        return f"its scheduler {different[0]}"
    grave = next((line for line in lines if not line.ok and line.blocks), None)
    return f"{grave.name}: {grave.detail}" if grave else ""


def versions(roll: RollCall) -> CheckResult:
    """Whether everybody runs the same versions of Python, Dask and the product."""
    wrong = [f"the scheduler {difference}" for difference in _of_scheduler(roll)]
    wrong += [f"{who} {difference}" for who in roll.workers for difference in _of_worker(roll, who)]
    if not wrong:
        shown = ", ".join(f"{name} {version}" for name, version in roll.here.items())
        return CheckResult("versions", True, f"{shown} on {text.plural(len(roll.workers), 'worker')}")
    return CheckResult("versions", False, some(wrong, "; "), SAME_VERSIONS)


def _of_scheduler(roll: RollCall) -> list[str]:
    """What differs on the scheduler, which need not have the product."""
    return _differences(roll.scheduler, {name: one for name, one in roll.here.items() if name != PRODUCT})


def _of_worker(roll: RollCall, who: str) -> list[str]:
    """What differs on a worker; nothing when it told no version, which another line tells."""
    theirs = roll.workers[who]
    return _differences(theirs, roll.here) if any(theirs.values()) else []


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    return [
        f"has {name} {theirs[name]}, here is {ours[name]}" if theirs[name] else f"has no {name}"
        for name in ours
        if theirs[name] != ours[name]
    ]
