"""Which sockets services open when each is started alone: the third source of ports, after sockets and files.

A port may be in a program's code, be its default, or be computed: no file tells it then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from converters.guest.facts import Port
from converters.pipeline import X86
from converters.plan import ImagePlan
from orchestrator.verify.engine import Engine, Listening, Probe, Started, VerifyError
from orchestrator.verify.judge import of_services
from orchestrator.verify.project import ComposedService, read_project
from orchestrator.verify.verdict import Observation
from orchestrator.verify.watch import CLEAN_UP_SECONDS, Expected, arguments_of, expected_of, secrets_of

SECONDS = 12.0
"""Every daemon of an experiment with thirty listened after 6 seconds at most."""
_BETWEEN_LOOKS = 1.0
_AT_ONCE = 8


def observe(
    engine: Engine, plan: ImagePlan, compose: str, home: Path, seconds: float = SECONDS
) -> tuple[Observation, ...]:
    """Start every service alone, without a network, and tell what it opens; nothing of it is left.

    Args:
        engine: entered.
        compose: the text of the machine's compose file.
        home: the compose file's folder, which has the files that it names.
        seconds: for which sockets are looked for.

    Raises:
        VerifyError: the engine cannot do it.
    """
    engine.begin(seconds + CLEAN_UP_SECONDS)
    found: list[Observation] = []
    with ExitStack() as images:
        wanted = [
            (service, expected)
            for service in read_project(compose)
            if (expected := expected_of(plan, service)) is not None
        ]
        for image in dict.fromkeys(service.image for service, _ in wanted):
            images.enter_context(engine.image(image))
        for first in range(0, len(wanted), _AT_ONCE):
            with ExitStack() as stack:
                found += _together(engine, stack, plan, wanted[first : first + _AT_ONCE], home, seconds)
    return tuple(found)


def _together(
    engine: Engine,
    stack: ExitStack,
    plan: ImagePlan,
    wanted: Sequence[tuple[ComposedService, Expected]],
    home: Path,
    seconds: float,
) -> list[Observation]:
    """Some services at a time, each in a network name space of its own."""
    project = f"orchestrate-observe-{secrets.token_hex(6)}"
    started: dict[str, Started] = {}
    probes: dict[str, Probe] = {}
    for service, expected in wanted:
        volumes = {
            name: stack.enter_context(engine.volume(f"{project}-{service.key}-{name}"))
            for name, _, _ in service.volumes
        }
        arguments = {**arguments_of(engine, service, volumes), "name": f"{project}-{service.key}"}
        arguments["network_mode"] = "none"
        container = stack.enter_context(engine.container(arguments, secrets_of(service, home)))
        started[expected.service] = container
        try:
            network = f"container:{container.id}"
            probe = stack.enter_context(engine.probe(service.image, network, plan.architecture or X86))
        except VerifyError:
            if container.ended() is None:
                raise
        else:
            probes[expected.service] = probe
    sockets = _watched(probes, seconds)
    return [
        observation(expected, sockets.get(expected.service, set()), started[expected.service].ended())
        for _, expected in wanted
    ]


def _watched(probes: Mapping[str, Probe], seconds: float) -> dict[str, set[Listening]]:
    sockets: dict[str, set[Listening]] = {service: set() for service in probes}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for service, probe in probes.items():
            sockets[service] |= of_services(probe.sockets())
        time.sleep(_BETWEEN_LOOKS)
    return sockets


def observation(expected: Expected, sockets: Iterable[Listening], ended: int | None) -> Observation:
    """What was seen beside what is known."""
    seen = {(one.protocol, one.port) for one in sockets}
    known = {(port.protocol, port.number) for port in expected.ports}
    return Observation(
        expected.service,
        sockets=_words(sockets),
        unknown=_words(one for one in sockets if (one.protocol, one.port) not in known),
        missing=tuple(sorted(_missing(expected.ports, seen))),
        ended=ended,
    )


def _words(sockets: Iterable[Listening]) -> tuple[str, ...]:
    return tuple(sorted(f"{one.protocol} {one.host}:{one.port}" for one in sockets))


def _missing(ports: Iterable[Port], seen: set[tuple[str, int]]) -> set[str]:
    return {f"{port.number}/{port.protocol}" for port in ports if (port.protocol, port.number) not in seen}
