"""Calls the roll of the workers: their versions, and what each answers to a question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Client
from distributed.versions import get_versions

from orchestrator.cluster import remote
from orchestrator.cluster.values import CONVERT
from orchestrator.fleet.states import Failure

DASK = ("dask", "distributed")
PRODUCT = "orchestrate"
"""As packages are called."""
_ROUND_TRIP_SECONDS = 10.0
"""What a question and its answer may take on their way, beside the time for the answer."""

Question = Callable[[Any], Any]
"""Importable on a worker; takes an order, gives a value that pickles."""


@dataclass(frozen=True, slots=True)
class RollCall:
    """The workers that convert, and what each answered to a question. Versions are by package's name."""

    here: Mapping[str, str]
    """Versions of this process: of Python, Dask and the product; empty where something is not there."""
    scheduler: Mapping[str, str]
    workers: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, Any]
    """By worker: what it gave, or a ``Failure``; only workers with this version of the product are asked."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """By worker: bytes that Dask lets it use; 0: any."""
    asked: Mapping[str, float] = field(default_factory=dict)
    """By worker: this machine's clock when the question was sent, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class _Told:
    versions: dict[str, str]
    answer: Any = None
    asked: float = 0.0


async def take(
    client: Client, question: Question, order: Any, seconds: float, only: Collection[str] | None = None
) -> RollCall:
    """Ask every worker that converts, or those in ``only``, beside whatever they do now.

    In the client's loop. ``seconds`` are for the answer; a worker that is frozen costs a little more, and
    holds nobody else up. Raises ``OSError`` when the scheduler is gone.
    """
    here = _versions(get_versions(packages=[PRODUCT]))
    identity = await client.scheduler.identity(n_workers=-1)
    converting = {
        address: worker
        for address, worker in identity["workers"].items()
        if worker["resources"].get(CONVERT, 0) >= 1 and (only is None or address in only)
    }
    scheduler = await client.run_on_scheduler(get_versions, packages=[PRODUCT])
    asking = (_ask(client, address, here, question, order, seconds) for address in converting)
    told = dict(zip(converting, await asyncio.gather(*asking), strict=True))
    return RollCall(
        here,
        _versions(scheduler),
        workers={address: one.versions for address, one in told.items()},
        answers={address: one.answer for address, one in told.items() if one.answer is not None},
        memory={address: int(worker["memory_limit"] or 0) for address, worker in converting.items()},
        asked={address: one.asked for address, one in told.items() if one.asked},
    )


async def _ask(
    client: Client, address: str, here: Mapping[str, str], question: Question, order: Any, seconds: float
) -> _Told:
    """A worker's versions, and its answer if it can understand the question."""
    versions = dict.fromkeys(here, "")
    asked = 0.0
    try:
        async with asyncio.timeout(_ROUND_TRIP_SECONDS):
            versions = _versions(await _run(client, address, get_versions, packages=[PRODUCT]))
        if versions[PRODUCT] != here[PRODUCT]:
            return _Told(versions)
        asked = time.time()
        async with asyncio.timeout(seconds + _ROUND_TRIP_SECONDS):
            answer = await _run(client, address, remote.answer, question, order, seconds)
    except TimeoutError:
        answer = Failure("no-answer", "the worker does not answer", "see its log; is it frozen?")
    except Exception as error:  # Dask's own: a worker that ends meanwhile, an answer that cannot be read here
        answer = Failure("no-answer", f"the worker cannot be asked: {error!r}", "see its log")
    return _Told(versions, answer, asked)


async def _run(client: Client, address: str, function: Any, *arguments: Any, **named: Any) -> Any:
    return (await client.run(function, *arguments, workers=[address], **named))[address]


def _versions(about: Mapping[str, Any]) -> dict[str, str]:
    packages = about["packages"]
    python = ".".join((packages.get("python") or "").split(".")[:2])
    return {"python": python, **{name: packages.get(name) or "" for name in (*DASK, PRODUCT)}}
