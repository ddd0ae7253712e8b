"""Calls the roll of the workers: their versions, and what each answers to a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.cluster import remote
from orchestrator.cluster.start import scheduler
from orchestrator.cluster.values import CONVERT, ClusterSettings
from orchestrator.failures import failure_of

DASK = "distributed"
PRODUCT = "orchestrate"
"""As packages are called."""


@dataclass(frozen=True, slots=True)
class RollCall:
    """The workers that convert, and what each answered to a question. Versions are by package's name."""

    here: Mapping[str, str]
    """Versions of this process: of Python, Dask and the product; empty where something is not there."""
    scheduler: Mapping[str, str]
    workers: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, Any]
    """By worker: what it gave, or a ``Failure``; only workers with this version of the product are asked."""


def call_roll(
    settings: ClusterSettings, question: Callable[[Any], Any], order: Any, seconds: float = 120.0
) -> RollCall:
    """Ask every worker that converts, beside whatever it does now.

    Args:
        question: importable on a worker; takes ``order``, gives a value that pickles.
        seconds: for the answer.

    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    with scheduler(settings) as (client, _):
        found = client.scheduler_info(n_workers=-1)["workers"].items()
        converting = [address for address, worker in found if worker["resources"].get(CONVERT, 0) >= 1]
        known = client.get_versions(packages=[PRODUCT])
        here = _versions(known["client"])
        workers = {address: _versions(known["workers"].get(address)) for address in converting}
        able = [address for address, versions in workers.items() if versions[PRODUCT] == here[PRODUCT]]
        answers = (
            client.run(remote.answer, question, order, seconds, workers=able, on_error="return")
            if able
            else {}
        )
    told = {
        address: failure_of(answer) if isinstance(answer, BaseException) else answer
        for address, answer in answers.items()
    }
    return RollCall(here, _versions(known["scheduler"]), workers, told)


def _versions(about: Mapping[str, Any] | None) -> dict[str, str]:
    packages = about["packages"] if about else {}
    python = ".".join((packages.get("python") or "").split(".")[:2])
    return {"python": python, **{name: packages.get(name) or "" for name in (DASK, PRODUCT)}}
